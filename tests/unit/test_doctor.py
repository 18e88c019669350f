"""doctor: finds what is there, names what is not and what installs it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from mbn2c.commands import doctor
from mbn2c.commands.doctor import Check
from mbn2c.targets import all_boards, all_cores


def by_name() -> dict[str, Check]:
    return {check.name: check for check in doctor.checks()}


def fake_tool(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer without any tool; what a test puts into the folder is all there is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_python_and_its_packages_are_found() -> None:
    found = by_name()
    if "mbn2c" in found:
        pytest.skip("mbn2c runs from its folder, not installed; `make setup` installs it")
    assert found["python"].ok and found["python"].version.startswith("3.")
    for package in ("numpy", "onnx", "onnxruntime", "pillow"):
        assert found[package].ok and found[package].version and not found[package].optional


def test_every_compiler_and_emulator_of_the_targets_is_checked() -> None:
    names = by_name().keys()
    assert {f"{core.prefix}gcc" for core in all_cores()} <= names
    programs = {board.emulator.program for board in all_boards() if board.emulator} - {""}
    assert programs <= names
    assert {f"{program} plugins" for program in programs} <= names


def test_every_check_is_optional_or_says_how_to_install() -> None:
    found = doctor.checks()
    assert all(check.install and check.needed_for for check in found)
    assert len({check.name for check in found}) == len(found)
    json.dumps([check.as_json() for check in found])


def test_missing_tools_are_named_with_their_packages(empty_path: Path) -> None:
    compiler = by_name()["arm-none-eabi-gcc"]
    assert not compiler.ok and compiler.version == ""
    assert "cortex-m7" in compiler.needed_for
    assert compiler.install == "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    assert not by_name()["rp2040js"].ok, "without node it does not run"
    missing = doctor.missing_apt_packages()
    assert {"gcc-arm-none-eabi", "qemu-system-arm", "clang", "make"} <= set(missing)
    assert missing == sorted(set(missing))
    assert not doctor.all_required_ok(doctor.checks())
    assert re.search(r"MISSING +arm-none-eabi-gcc", doctor.format_checks(doctor.checks()))


def test_compiler_without_c_library_is_not_ok(empty_path: Path) -> None:
    fake_tool(empty_path, "arm-none-eabi-gcc", 'if [ "$1" = --version ]; then echo gcc 12; else exit 1; fi')
    compiler = by_name()["arm-none-eabi-gcc"]
    assert not compiler.ok
    assert compiler.version.startswith("gcc 12; cannot compile for cortex-m0plus")


@pytest.mark.parametrize(("help_text", "plugins"), [("-plugin [file=]<file>", True), ("-machine", False)])
def test_emulator_is_asked_for_plugins(empty_path: Path, help_text: str, plugins: bool) -> None:
    fake_tool(empty_path, "qemu-system-arm", f"echo '{help_text}'")
    found = by_name()
    assert found["qemu-system-arm"].ok
    assert found["qemu-system-arm plugins"].ok is plugins
    assert "qemu-system-arm" not in doctor.missing_apt_packages()


def test_broken_tool_counts_as_missing(empty_path: Path) -> None:
    fake_tool(empty_path, "cmake", "echo cmake version 3; exit 1")
    assert not by_name()["cmake"].ok


def test_optional_things_do_not_spoil_the_whole() -> None:
    there = Check("gcc", True, "12", "all", "apt")
    assert doctor.all_required_ok([there, Check("pyocd", False, "", "probes", "pip install pyocd", optional=True)])
    assert not doctor.all_required_ok([there, Check("make", False, "", "building", "apt")])


def test_setup_can_ask_before_any_package_is_installed() -> None:
    command = (
        "import sys; sys.path.insert(0, '.'); from mbn2c.commands.doctor import missing_apt_packages as m; print(*m())"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
