"""mbn2c.json, the manifest of an output folder: which files a build wrote there, with the digest of each.

It is written last, so a folder whose build was broken off has none, or one that says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mbn2c import __version__
from mbn2c.errors import UsageError

MANIFEST = "mbn2c.json"
_SCHEMA = 1
_CHECK = "sha256"


@dataclass(frozen=True)
class Manifest:
    """What a build wrote.

    files    path in the folder, with / -> SHA-256 in hex, of all files but this one and the compiler's temporary ones
    pending  likewise, of a build that is being moved into the folder; None if there is none
    version  of the mbn2c that wrote it
    """

    files: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[str, str] | None = None
    version: str = __version__

    @property
    def paths(self) -> frozenset[str]:
        """The files of the build, and those that are being moved in."""
        return frozenset(self.files) | frozenset(self.pending or ())

    def wrote(self, path: str, digest: str) -> bool:
        """Whether a file with this content is mbn2c's own."""
        return digest in (self.files.get(path), (self.pending or {}).get(path))

    def to_bytes(self) -> bytes:
        """The JSON file, with a check of its own; `read_manifest` is the inverse."""
        pending = None if self.pending is None else dict(self.pending)
        facts = {"schema": _SCHEMA, "mbn2c": self.version, "files": dict(self.files), "pending": pending}
        return (json.dumps(facts | {_CHECK: _check(facts)}, indent=1, sort_keys=True) + "\n").encode()


def digest_of(content: bytes) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, None if it has none.

    raises  UsageError if it is damaged
    """
    file = folder / MANIFEST
    try:
        if not file.is_file():
            return None
        facts = json.loads(file.read_bytes())
        if facts.pop(_CHECK) != _check(facts):
            raise ValueError("it is not as mbn2c wrote it")
        if facts["schema"] != _SCHEMA:
            raise ValueError(f"it has schema {facts['schema']}, not {_SCHEMA}")
        pending = facts["pending"]
        return Manifest(_files(facts["files"]), None if pending is None else _files(pending), str(facts["mbn2c"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"cannot read {MANIFEST}, which says what mbn2c wrote: {error}",
            where=str(file),
            hint="build again, with --force, or into another folder",
        ) from error


def _check(facts: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(facts, sort_keys=True).encode())


def _files(entries: Mapping[str, str]) -> dict[str, str]:
    """Raises ValueError for a path that leads out of the folder."""
    for path in entries:
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or path.startswith("/") or "\\" in path or "\0" in path:
            raise ValueError(f"'{path}' is no path in the folder")
    return dict(entries)
