"""Pictures and tables of the images that were verified -> OUT/results; what an earlier verify wrote there goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text

# Names the files that a verify wrote, one a line: no others are ever removed.
_LIST = "files.txt"


class ResultsFolder:
    """A folder that verify alone writes.

    files   names in it, as far as they are written
    raises  UsageError if something else lies there, or it cannot be read
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[str] = []
        self._old: list[str] = []
        try:
            is_ours = not folder.is_symlink() and (not folder.exists() or (folder / _LIST).is_file())
            if not is_ours and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
                hint = "move it away, or verify with --no-results"
                raise UsageError("what lies there was not written by verify", where=str(folder), hint=hint)
        except OSError as error:
            raise _cannot(folder, error) from error
        if (folder / _LIST).is_file():
            self._old = read_text(folder / _LIST, "list", "remove the folder").splitlines()

    def write(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Names without folders, and contents; without any there will be no folder. Raises UsageError."""
        try:
            for name, content in files:
                self.files.append(name)
                self.folder.mkdir(exist_ok=True)
                self._put(_LIST, "".join(f"{one}\n" for one in dict.fromkeys([*self._old, *self.files])).encode())
                self._put(name, content)
            for name in set(self._old) - set(self.files):
                if name == Path(name).name:
                    (self.folder / name).unlink(missing_ok=True)
            if self.files:
                self._put(_LIST, "".join(f"{one}\n" for one in self.files).encode())
            elif self._old:
                (self.folder / _LIST).unlink()
        except OSError as error:
            raise _cannot(self.folder, error) from error

    def _put(self, name: str, content: bytes) -> None:
        """Replaces a symbolic link, never what it leads to."""
        new = self.folder / f".{name}.new"
        new.unlink(missing_ok=True)
        new.write_bytes(content)
        new.replace(self.folder / name)


def _cannot(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot read or write the results: {error.strerror}", where=str(folder), hint="--no-results")
