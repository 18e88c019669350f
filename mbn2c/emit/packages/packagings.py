"""C files of a network -> folders as the ecosystems of embedded C want them, each complete in itself.

A folder of `templates/packages/` is laid out as its output: sources in `src/`, an example in `examples/` or `samples/`,
a manifest, a licence.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbn2c import __version__
from mbn2c.emit.network.c_names import comment
from mbn2c.emit.packages.single_header import single_header
from mbn2c.errors import UsageError
from mbn2c.files.bundle import Bundle
from mbn2c.resources.folders import templates
from mbn2c.resources.render import render
from mbn2c.targets import Core

VENDOR = "mbn2c"
SINGLE_HEADER, CMSIS_PACK = "single-header", "cmsis-pack"
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_SUFFIX = ".j2"


@dataclass(frozen=True)
class Packaging:
    """One ecosystem.

    startups  kinds of cores it has: see `target.STARTUPS`
    example   where its example lies; "" if a template of its own prints it
    entry, setup, print, includes, returns  of that example: head of its main, its first statement, what prints,
              what declares these
    """

    startups: tuple[str, ...]
    example: str = "examples/classify/main.c"
    entry: str = "int main(void)"
    setup: str = ""
    print: str = "printf"
    includes: tuple[str, ...] = ("stdio.h",)
    returns: bool = True


_ANY = ("arm_m", "riscv", "hosted")
PACKAGINGS: Mapping[str, Packaging] = {
    "arduino": Packaging(_ANY, example=""),
    "platformio": Packaging(_ANY),
    "zephyr": Packaging(
        _ANY, example="samples/classify/src/main.c", print="printk", includes=("zephyr/kernel.h", "zephyr/sys/printk.h")
    ),
    # Its cores are RISC-V and Xtensa; the latter take plain C, which is what the hosted targets have.
    "esp-idf": Packaging(
        ("riscv", "hosted"), example="examples/classify/main/main.c", entry="void app_main(void)", returns=False
    ),
    CMSIS_PACK: Packaging(("arm_m",)),
    "pico-sdk": Packaging(("arm_m", "riscv"), setup="stdio_init_all();", includes=("stdio.h", "pico/stdlib.h")),
    SINGLE_HEADER: Packaging(_ANY),
    # A shared library and what calls it.
    "python": Packaging(("hosted",), example=""),
}

# C whose constants come in a file of their own, of which a program of the user's takes the newest.
BLOB = "blob"
# A Makefile is always there: mbn2c itself runs it.
EMITS = ("make", "cmake", *PACKAGINGS, BLOB)
DEFAULT_EMITS = ("make", "cmake")


def check_emits(emits: Sequence[str], core: Core) -> None:
    """Raises UsageError for a packaging that is not known, or whose ecosystem does not have such a core."""
    for emit in emits:
        if emit not in EMITS:
            raise UsageError(f"--emit {emit} is not known", hint=f"one of {', '.join(EMITS)}")
        if emit in PACKAGINGS and core.startup not in PACKAGINGS[emit].startups:
            raise UsageError(
                f"--emit {emit} has no {core.name}", hint="another --target, or another packaging; see docs/packages.md"
            )


def check_version(version: str) -> str:
    """The version of a package as all ecosystems take it, else UsageError."""
    if re.fullmatch(r"\d{1,5}\.\d{1,5}\.\d{1,5}", version) is None:
        raise UsageError(f"'{version}' is no version of a package", where="--package-version", hint="e.g. 1.2.0")
    return version


def package_folder(
    emit: str, *, name: str, title: str, core: Core, code: Mapping[str, bytes], shown: str, version: str = __version__
) -> Bundle:
    """The files of one packaging, below its own name.

    name    prefix of the model's C functions
    title   the model's file name
    code    the C files and headers of the network and its kernels, by file name
    shown   what the example prints, as of `Task.example`
    version of the package
    """
    packaging = PACKAGINGS[emit]
    values: dict[str, object] = {
        "name": name,
        "NAME": name.upper(),
        "title": comment(title).replace('"', "'"),
        "version": __version__,
        "package_version": version,
        "target": core.name,
        "cflags": list(core.cflags),
        "prefix": core.prefix,
        "dcore": _arm_name(core.name),
        "sources": [f"src/{path}" for path in sorted(code) if path.endswith(".c")],
        "headers": [f"src/{path}" for path in sorted(code) if path.endswith(".h")],
        "shown": shown,
        "entry": packaging.entry,
        "setup": packaging.setup,
        "print": packaging.print,
        "includes": list(packaging.includes),
        "returns": packaging.returns,
    }
    files = {"LICENSE": render("packages/common/LICENSE.j2", values).encode()}
    if packaging.example:
        example = render("packages/common/main.c.j2", values)
        if emit == SINGLE_HEADER:
            example = f"#define {name.upper()}_IMPLEMENTATION\n" + example
        files[packaging.example] = example.encode()
    if emit == SINGLE_HEADER:
        files |= single_header(name, code)
    else:
        files |= {f"src/{path}": content for path, content in code.items()}
    for path in _template_paths(emit):
        if path != f"NAME.h{_SUFFIX}":
            target = path.removesuffix(_SUFFIX).replace("NAME", name)
            files[target] = render(f"packages/{emit}/{path}", values).encode()
    if emit == CMSIS_PACK:
        return {f"{emit}/{VENDOR}.{name}.{version}.pack": _zipped(files), **_below(f"{emit}/{name}", files)}
    return _below(f"{emit}/{name}", files)


def _template_paths(emit: str) -> Sequence[str]:
    folder = templates() / "packages" / emit
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{_SUFFIX}"))


def _below(folder: str, files: Mapping[str, bytes]) -> Bundle:
    return {f"{folder}/{path}": content for path, content in files.items()}


def _arm_name(core: str) -> str:
    """cortex-m0plus -> Cortex-M0+, as CMSIS spells it."""
    return core.title().replace("plus", "+").replace("Plus", "+")


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file of them: the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, _ZIP_DATE), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
