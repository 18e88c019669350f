"""Which tools are there: this computer -> a list of checks, each with the command that installs what is missing.

Compilers and emulators follow from the facts in `targets/`; Python packages from mbn2c's own metadata. `setup.sh`
asks `missing_apt_packages` before any Python package is installed, so this module and what it imports need the
standard library only.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mbn2c.report.table import table
from mbn2c.targets import Core, all_boards, all_cores

OLDEST_PYTHON = (3, 11)
TRIAL_SOURCE = "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\nint main(void) { return 0; }\n"
# Tools that belong to no core and no board: command, what needs it, Debian packages, optional.
TOOLS = (
    ("make", "building the output folder", "make", False),
    ("g++", "tests: the generated C compiles as C++ too", "g++", True),
    ("clang", "tests: the generated C is clean under a second compiler", "clang", True),
    ("clang-format", "tests: the plain C of templates/ is formatted", "clang-format", True),
    ("cmake", "tests: the generated CMakeLists.txt", "cmake", True),
)


@dataclass(frozen=True)
class Check:
    """One thing that mbn2c needs.

    name        command or package
    ok          there, and working
    version     as found; why it does not work if it is there but not ok; empty if it is not there
    needed_for  what does not work without it
    install     the command that installs it
    optional    mbn2c itself works without it
    apt         Debian packages that bring it; empty for what apt-get does not bring
    """

    name: str
    ok: bool
    version: str
    needed_for: str
    install: str
    optional: bool = False
    apt: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields, as `mbn2c doctor --json` prints them."""
        return asdict(self)


def checks() -> list[Check]:
    """Everything: Python, its packages, compilers, emulators, other tools."""
    return [_python(), *_python_packages(), *_system_checks(), _pyocd(), _rp2040js()]


def missing_apt_packages() -> list[str]:
    """The Debian packages that would mend the failed checks, sorted, each once."""
    return sorted({package for check in _system_checks() if not check.ok for package in check.apt})


def all_required_ok(found: Iterable[Check]) -> bool:
    """True if nothing lacks but optional things."""
    return all(check.ok or check.optional for check in found)


def format_checks(found: Sequence[Check]) -> str:
    """The checks as lines of text, the missing ones with what needs them and how to install them."""
    rows = []
    for check in found:
        mark = "ok" if check.ok else "optional" if check.optional else "MISSING"
        rows.append((mark, check.name, check.version))
        if not check.ok:
            rows.append(("", "", f"needed for {check.needed_for}"))
            rows.append(("", "", f"install    {check.install}"))
    return table(rows)


def _python() -> Check:
    wanted = ".".join(map(str, OLDEST_PYTHON))
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, platform.python_version(), "everything", f"Python {wanted} or newer")


def _python_packages() -> list[Check]:
    """The packages that mbn2c's metadata names; those of an extra are optional."""
    try:
        requirements = importlib.metadata.requires("mbn2c") or []
    except importlib.metadata.PackageNotFoundError:
        return [Check("mbn2c", False, "", "the command mbn2c", "pip install mbn2c, or in a checkout: make setup")]
    found = []
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = "extra ==" in requirement
        version = _package_version(name)
        needed_for = "mbn2c's own tests" if extra else "everything"
        found.append(Check(name, bool(version), version, needed_for, f"pip install {name}", optional=extra))
    return found


def _system_checks() -> list[Check]:
    found = [_compiler(prefix) for prefix in dict.fromkeys(core.prefix for core in all_cores())]
    for program in dict.fromkeys(board.emulator.program for board in all_boards() if board.emulator):
        if program:
            found += _emulator(program)
    for command, needed_for, packages, optional in TOOLS:
        version = _first_line(command, "--version")
        found.append(_apt_check(command, bool(version), version, needed_for, packages, optional))
    return found


def _compiler(prefix: str) -> Check:
    """GCC with this prefix: there, and able to compile for each of its cores with the C library's headers."""
    cores = [core for core in all_cores() if core.prefix == prefix and (prefix or core.name == "host")]
    command = f"{prefix}gcc"
    version = _first_line(command, "--version")
    refused = [core.name for core in cores if version and not _compiles(command, core)]
    if refused:
        version += f"; cannot compile for {', '.join(refused)}"
    needed_for = f"--target {', '.join(core.name for core in cores)}"
    if not prefix:
        needed_for += ", and counting instructions in the emulator"
    return _apt_check(command, bool(version) and not refused, version, needed_for, cores[0].apt, False)


def _compiles(command: str, core: Core) -> bool:
    arguments = [command, *core.cflags, "-x", "c", "-c", "-", "-o", "/dev/null"]
    return subprocess.run(arguments, input=TRIAL_SOURCE, text=True, capture_output=True).returncode == 0


def _emulator(program: str) -> list[Check]:
    """The emulator, and its support for plugins, which count instructions."""
    boards = [board for board in all_boards() if board.emulator and board.emulator.program == program]
    packages = next(board.emulator.apt for board in boards if board.emulator)
    version = _first_line(program, "--version")
    needed_for = f"--board {', '.join(board.name for board in boards)}"
    plugins = "-plugin" in _output(program, "-help")
    # No package to name here: a static build (Debian 13's qemu-user) is there, and cannot load plugins.
    remedy = f"a {program} that lists -plugin in its -help; Debian 12's does"
    return [
        _apt_check(program, bool(version), version, needed_for, packages, False),
        Check(f"{program} plugins", plugins, "", "instruction counts in the emulator", remedy, optional=True),
    ]


def _pyocd() -> Check:
    version = _package_version("pyocd") or _first_line("pyocd", "--version")
    needed_for = "flashing boards with a debug probe"
    return Check("pyocd", bool(version), version, needed_for, "pip install pyocd", optional=True)


def _rp2040js() -> Check:
    """The emulator of one test, which setup.sh installs beside the Python packages."""
    package = Path(sys.prefix) / "node" / "node_modules" / "rp2040js" / "package.json"
    found = re.search(r'"version": "(.+)"', package.read_text(encoding="utf-8")) if package.is_file() else None
    version = found.group(1) if found and _first_line("node", "--version") else ""
    needed_for = "tests: the Pico's image on an emulator made by others"
    return Check("rp2040js", bool(version), version, needed_for, "make setup, with node and npm", optional=True)


def _apt_check(name: str, ok: bool, version: str, needed_for: str, packages: str, optional: bool) -> Check:
    return Check(name, ok, version, needed_for, f"sudo apt-get install {packages}", optional, tuple(packages.split()))


def _package_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _first_line(*command: str) -> str:
    """The first line the command prints; empty if it is missing or fails."""
    return _output(*command).partition("\n")[0].strip()


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
