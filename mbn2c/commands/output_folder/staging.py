"""A new build beside the old one -> the output folder, all at once, and nothing that is not mbn2c's own is touched.

What a build makes is written and compiled in a folder of its own inside OUT. Only when all of that has succeeded are
the files moved, each by a rename: a full disk, a failed compilation or a kill before that leave OUT as it was. While
they are moved the manifest says so, thus a kill in between is noticed, and the next build completes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mbn2c.commands.output_folder.manifest import MANIFEST, Manifest, digest_of, read_manifest
from mbn2c.errors import UsageError
from mbn2c.firmware.toolchain import BUILD_FOLDER

STAGE = ".mbn2c-new"
_MOVING = ".moving"
_NAMED = 5
_FOREIGN, _EDITED, _LINK = "not written by mbn2c", "edited since its build", "a symbolic link"
_ELF = ".elf"


def check_folder(folder: Path, *, force: bool = False) -> None:
    """Whether a build may go there, as far as it is known before the build.

    raises  UsageError if it is no folder, or has files and no manifest of ours, or if its C was edited, or if one may
            not write there
    """
    home = _home(folder, force)
    try:
        there = next(one for one in (home, *home.parents) if one.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))
    except OSError as error:
        raise _cannot("write", folder, error) from error
    if force or not home.is_dir():
        return
    try:
        known = read_manifest(home) or Manifest()
        code = [path for path in sorted(known.files) if is_code(path)]
        _refuse(folder, [(path, _conflict(home, path, "", known)) for path in code])
    except OSError as error:
        raise _cannot("read", folder, error) from error


def _home(folder: Path, force: bool) -> Path:
    """The folder, links to it resolved. Raises UsageError if it is another's."""
    try:
        home = folder.resolve()
        if folder.is_symlink() and not home.exists():
            raise UsageError(f"{folder} is a symbolic link to nothing", hint="choose another -o folder")
        if home.exists() and not home.is_dir():
            raise UsageError(f"{folder} is not a folder", hint="choose another -o folder")
        if home.is_dir() and not force and read_manifest(home) is None:
            foreign = sorted(entry.name for entry in home.iterdir() if entry.name != STAGE)
            if foreign:
                raise UsageError(
                    f"{folder} has files, and mbn2c did not write it (it has no {MANIFEST})",
                    where=_some(foreign),
                    hint="choose another -o folder, or --force to write into this one",
                )
    except (OSError, RuntimeError) as error:
        raise _cannot("read", folder, error) from error
    return home


def is_code(path: str) -> bool:
    """Whether a file of OUT is given to the compiler: the network's C and headers, the firmware, the Makefile."""
    return path == "Makefile" or path.startswith("firmware/") or is_of_network(path)


def is_of_network(path: str) -> bool:
    """Whether a file of OUT is C of the network or its kernels, or of networks beside it."""
    return "/" not in path and path.endswith((".c", ".h"))


@contextlib.contextmanager
def staged(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """An empty folder to build in; what lies there at the end of the block becomes the content of `folder`.

    An exception in the block leaves `folder` as it was. Unchanged files keep their time stamps. Files of the build
    before are removed unless they were edited; what others put there stays.

    force   overwrite files that mbn2c did not write or that were edited, replace symbolic links in the way
    raises  UsageError for what `force` would allow, or if something cannot be written
    """
    home = _home(folder, force)
    made = _make_folders(home)
    try:
        with _locked(home / STAGE, folder) as work:
            yield work
            try:
                _publish(work, home, folder, force)
            except OSError as error:
                raise _cannot("write", folder, error) from error
    finally:
        for one in reversed(made):
            with contextlib.suppress(OSError):
                one.rmdir()  # which succeeds only if nothing was written


def _make_folders(home: Path) -> list[Path]:
    """Make the folder and those above it; returns what was not there, the topmost first."""
    missing = [one for one in (home, *home.parents) if not one.exists()][::-1]
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot("write", home, error) from error
    return missing


@contextlib.contextmanager
def _locked(stage: Path, folder: Path) -> Iterator[Path]:
    """An empty folder in the stage, which no other process has meanwhile; both are gone afterwards."""
    busy = UsageError("another mbn2c writes into this folder", where=str(folder), hint="wait until it has finished")
    try:
        stage.mkdir(exist_ok=True)
        handle = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _cannot("write", stage, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise busy from None
            # A file system without locks: builds at the same time are then the user's care.
        if not stage.is_dir() or not os.path.samestat(os.fstat(handle), stage.stat()):
            raise busy
        try:
            for entry in stage.iterdir():  # of a build that was killed
                shutil.rmtree(entry, ignore_errors=True)
            # A name of its own each time: the compiler of the killed build may still be at work.
            work = Path(tempfile.mkdtemp(dir=stage))
        except OSError as error:
            raise _cannot("write", stage, error) from error
        try:
            yield work
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        os.close(handle)


def _publish(stage: Path, home: Path, folder: Path, force: bool) -> None:
    known = _manifest_before(home, force)
    paths = sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())
    objects = [path for path in paths if _is_compiled(path)]
    digests = {path: digest_of((stage / path).read_bytes()) for path in paths if path not in objects}
    digests |= {path: digest_of((stage / path).read_bytes()) for path in objects if path.endswith(_ELF)}
    conflicts = [(path, _conflict(home, path, digests.get(path, ""), known)) for path in (*paths, MANIFEST)]
    _refuse(folder, conflicts, force=force)
    manifest = Manifest(digests)
    changed = [path for path in digests if not _is_compiled(path) and not _holds(home / path, digests[path])]
    removed = [path for path in known.paths - set(paths) if _is_own(home, path, known)]
    if not changed and not removed and all(_same(stage / path, home / path) for path in objects):
        objects = []
    if not changed and not removed and not objects and _holds(home / MANIFEST, digest_of(manifest.to_bytes())):
        return
    # All is written before anything is moved.
    before = {path: digest_of((home / path).read_bytes()) for path in known.paths if _is_own(home, path, known)}
    (stage / _MOVING).write_bytes(Manifest({**known.files, **before}, digests).to_bytes())
    (stage / MANIFEST).write_bytes(manifest.to_bytes())
    _make_way(home, [*changed, *objects, MANIFEST], force)
    os.replace(stage / _MOVING, home / MANIFEST)
    for path in removed:
        _remove(home, path)
    for path in (*changed, *objects):  # objects last: make finds them newer than their sources
        os.replace(stage / path, home / path)
    os.replace(stage / MANIFEST, home / MANIFEST)


def _manifest_before(home: Path, force: bool) -> Manifest:
    try:
        return read_manifest(home) or Manifest()
    except UsageError:
        if not force:
            raise
        return Manifest()


def _is_compiled(path: str) -> bool:
    return path.startswith(BUILD_FOLDER + "/")


def _conflict(home: Path, path: str, digest: str, known: Manifest) -> str:
    """In words, why a file with this digest must not be put there; "" if it may. What make builds is mbn2c's own."""
    for parent in PurePosixPath(path).parents:
        above = home / parent
        if parent.name and above.is_symlink():
            return f"{parent} is {_LINK}"
        if parent.name and above.exists() and not above.is_dir():
            return f"{parent} is {_FOREIGN}"
    file = home / path
    if file.is_symlink():
        return _LINK
    if not file.exists():
        return ""
    if not file.is_file():
        return "a folder" if file.is_dir() else "not a file"
    if _is_compiled(path) or path == MANIFEST:
        return ""
    found = digest_of(file.read_bytes())
    if found == digest or known.wrote(path, found):
        return ""
    return _EDITED if path in known.paths else _FOREIGN


def _refuse(folder: Path, conflicts: Sequence[tuple[str, str]], *, force: bool = False) -> None:
    found = [f"{path} ({why})" for path, why in conflicts if why]
    lasting = [f"{path} ({why})" for path, why in conflicts if why in ("a folder", "not a file")]
    if lasting:
        raise UsageError(
            f"in {folder}, what is in a file's place is no file",
            where=_some(lasting),
            hint="remove it, or choose another -o folder",
        )
    if found and not force:
        raise UsageError(
            f"mbn2c would overwrite in {folder} what is not its own",
            where=_some(found),
            hint="move it away, choose another -o folder, or --force to overwrite it",
        )


def _is_own(home: Path, path: str, known: Manifest) -> bool:
    """Whether a file of the build before may be removed: it lies there as mbn2c wrote it."""
    file = home / path
    if _conflict(home, path, "", known) or not file.is_file():
        return False
    return known.wrote(path, digest_of(file.read_bytes()))


def _make_way(home: Path, paths: Sequence[str], force: bool) -> None:
    """Folders for the paths; with `force` symbolic links and files in the place of a folder go."""
    for parent in dict.fromkeys(parent for path in paths for parent in [*PurePosixPath(path).parents][-2::-1]):
        above = home / parent
        if force and (above.is_symlink() or (above.exists() and not above.is_dir())):
            above.unlink()
        above.mkdir(exist_ok=True)


def _remove(home: Path, path: str) -> None:
    (home / path).unlink()
    for parent in [*PurePosixPath(path).parents][:-1]:
        with contextlib.suppress(OSError):
            (home / parent).rmdir()  # which succeeds only if it is empty


def _holds(file: Path, digest: str) -> bool:
    return file.is_file() and not file.is_symlink() and digest_of(file.read_bytes()) == digest


def _same(one: Path, other: Path) -> bool:
    return _holds(other, digest_of(one.read_bytes()))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _cannot(verb: str, path: Path, error: BaseException) -> UsageError:
    where = getattr(error, "filename", None) or path
    reason = getattr(error, "strerror", None) or error
    return UsageError(
        f"cannot {verb} {where}: {reason}", hint="make room, check the rights there, or choose another -o folder"
    )
