"""Plan, kernels and names -> `blob/`: C that takes in its constants when it starts, and the blob of them.

One program takes the blobs of all networks that give the same C, to the letter: the same layers, kernels, plan, scales
of activations and functions around them. The SHA-256 of that C stands in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from mbn2c.emit.network.blob import arrays_in_blob, blob_bytes
from mbn2c.emit.network.model import Names, constant_arrays, model_files
from mbn2c.emit.packages.packagings import BLOB
from mbn2c.errors import UsageError
from mbn2c.files.bundle import Bundle
from mbn2c.firmware.files import package_files
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import packed_constants
from mbn2c.resources.render import render
from mbn2c.targets import Core

# Bits of each number of a version, in the uint32 of a blob.
_MAJOR, _MINOR, _PATCH = 8, 12, 12


def blob_folder(plan: Plan, kernels: Mapping[str, Kernel], names: Names, core: Core, version: str) -> Bundle:
    """The C with its Makefile, and `<prefix>.blob`, below `blob/`.

    version  X.Y.Z; of two blobs the one with the larger is the newer
    raises   UsageError for a version that is too large
    """
    program = replace(
        names, title=names.prefix, digest=bytes(32), sections={}, threads=False, prefetches=False, in_blob=True
    )
    digest = hashlib.sha256()
    for path, content in sorted(model_files(plan, kernels, program).items()):
        digest.update(path.encode() + b"\0" + content + b"\0")
    code = model_files(plan, kernels, replace(program, digest=digest.digest()))
    constants = packed_constants(plan, kernels)
    arrays = arrays_in_blob(constant_arrays(constants, names), constants)
    blob = blob_bytes(arrays, blob_version(version), digest.digest(), names.digest)
    makefile = package_files(name=names.prefix, core=core, sources=sorted(path for path in code if path.endswith(".c")))
    values = {"name": names.prefix, "NAME": names.prefix.upper(), "version": version, "bytes": len(blob)}
    files = {
        **code,
        "Makefile": makefile["Makefile"],
        f"{names.prefix}.blob": blob,
        "README.md": render(f"packages/{BLOB}/README.md.j2", values).encode(),
    }
    return {f"{BLOB}/{path}": content for path, content in files.items()}


def blob_version(version: str) -> int:
    """X.Y.Z as a uint32 of the same order. Raises UsageError for a number that is too large."""
    number = 0
    for word, bits in zip(version.split("."), (_MAJOR, _MINOR, _PATCH), strict=True):
        if int(word) >= 1 << bits:
            most = f"{(1 << _MAJOR) - 1}.{(1 << _MINOR) - 1}.{(1 << _PATCH) - 1}"
            what = f"{version} is no version of a blob, which ends with {most}"
            raise UsageError(what, where="--package-version")
        number = number << bits | int(word)
    return number
