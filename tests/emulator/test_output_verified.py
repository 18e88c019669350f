"""An output folder of a real build: what verify, flash and bench take of it, what a build leaves, what is compiled."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from folders import content
from onnx_models.heads import head_pool_flatten_gemm, head_squeeze_attributes_matmul_add

from mbn2c.cli import main
from mbn2c.commands.output_folder import OutputFolder, expected_build, firmware_on, sources_for
from mbn2c.commands.output_folder.manifest import MANIFEST, Manifest, digest_of, read_manifest
from mbn2c.commands.output_folder.staging import STAGE
from mbn2c.commands.verify.open_devices import refuse_stale
from mbn2c.errors import BoardError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.sizes import Sizes
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.report.text import OWN_FIRMWARE
from mbn2c.targets import load_board, load_core

IMAGES = 3
BOARD, OTHER_BOARD, CORE = "qemu-mps2-an500", "qemu-mps2-an386", "cortex-m7"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    onnx.save(head_pool_flatten_gemm().model(), str(folder / "net.onnx"))
    noise = np.random.default_rng(3).normal(0, 1, (IMAGES, 3, 12, 12))
    np.savez(folder / "noise.npz", noise.astype(np.float32))
    return folder / "net.onnx"


def build(model: Path, out: Path, *words: str, code: int = 0) -> None:
    assert main(["build", str(model), "--calib", "random", "--quantize", "fast", "-o", str(out), *words]) == code


@pytest.fixture(scope="module")
def for_board(model: Path) -> Path:
    build(model, model.parent / "board", "--board", BOARD)
    return model.parent / "board"


@pytest.fixture(scope="module")
def for_core(model: Path) -> Path:
    build(model, model.parent / "core", "--target", CORE)
    return model.parent / "core"


@pytest.fixture
def out(for_board: Path, tmp_path: Path) -> Path:
    shutil.copytree(for_board, tmp_path / "out")
    return tmp_path / "out"


Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verify(model: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """(exit code, standard output, standard error) of mbn2c verify."""

    def run(out: Path, *words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["verify", str(out), "--images", str(model.parent / "noise.npz"), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def negate_an_array(out: Path) -> None:
    """The first array of weights with every bit inverted: each int8 number w becomes -w - 1."""
    file = out / "net_constants.c"
    head, weights, tail = re.split(r"(_weights\[\d+\] = \{[^}]*\})", file.read_text(), maxsplit=1)
    inverted = re.sub(r"0x([0-9a-f]{8})u", lambda found: f"0x{int(found[1], 16) ^ 0xFFFFFFFF:08x}u", weights)
    assert inverted != weights
    file.write_text(head + inverted + tail)


def test_a_float_model_that_overflows_is_nothing_to_compare_with(
    for_core: Path, verify: Verify, tmp_path: Path
) -> None:
    """Its NaN was told as "output SQNR: no noise"."""
    signs = np.sign(np.random.default_rng(0).normal(size=(1, 3, 12, 12)))
    np.savez(tmp_path / "large.npz", (3e38 * signs).astype(np.float32))
    code, said, complaint = verify(for_core, "--host", "--images", str(tmp_path / "large.npz"))
    assert (code, said) == (2, "") and "overflows" in complaint and "up to 3e+38" in complaint, complaint


def test_a_wrong_array_in_out_is_found_on_its_board(out: Path, verify: Verify) -> None:
    negate_an_array(out)
    code, said, complaint = verify(out, "--board", BOARD)
    array = r"constant array step\d+_weights .*: other bytes than were packed"
    assert code == 1 and re.search(array, complaint), complaint
    words = " ".join(said.split())  # tables keep to 100 columns
    assert re.match(r"verified the C in OUT as it was edited since its build \(net_constants\.c\)", words), words


@pytest.mark.parametrize("words", [("--host",), ("--board", OTHER_BOARD)], ids=" ".join)
def test_a_wrong_array_in_out_is_refused_elsewhere(words: tuple[str, ...], out: Path, verify: Verify) -> None:
    negate_an_array(out)
    code, said, complaint = verify(out, *words)
    assert (code, said) == (2, "")
    assert "was edited since its build" in complaint and "where: net_constants.c" in complaint
    assert f"--board {BOARD}" in complaint


def test_a_wrong_array_in_out_that_has_no_board_is_refused(for_core: Path, tmp_path: Path, verify: Verify) -> None:
    shutil.copytree(for_core, tmp_path / "out")
    negate_an_array(tmp_path / "out")
    code, said, complaint = verify(tmp_path / "out", "--board", BOARD)
    assert (code, said) == (2, "") and "where: net_constants.c" in complaint


# what is verified: (folder, words of the command), the JSON field and the first line
VERIFIED = {
    "own board": ("for_board", ("--board", BOARD), OWN_FIRMWARE),
    "no board said": ("for_board", (), OWN_FIRMWARE),
    "another of the core": ("for_board", ("--board", OTHER_BOARD), f"OUT's own C, in the firmware of {OTHER_BOARD}"),
    "another core": (
        "for_board",
        ("--host",),
        f"C for host planned and made from network.npz, not the {CORE} C in OUT",
    ),
    "built without board": ("for_core", ("--board", BOARD), f"OUT's own C, in the firmware of {BOARD}"),
}


@pytest.mark.parametrize("name", VERIFIED)
def test_what_is_verified_is_said(name: str, request: pytest.FixtureRequest, verify: Verify) -> None:
    folder, words, expected = VERIFIED[name]
    out = request.getfixturevalue(folder)
    code, said, _ = verify(out, *words, "--json")
    assert code == 0 and json.loads(said)["verified"] == expected
    code, said, _ = verify(out, *words)
    first = "device" if expected == OWN_FIRMWARE else f"verified {expected}"
    assert " ".join(said.split()).startswith(f"{first} ")


def test_an_elf_that_is_not_the_builds_is_not_used(out: Path, verify: Verify) -> None:
    elf = out / "build" / "net.elf"
    elf.write_bytes(elf.read_bytes()[:-1] + b"x")
    for prepare in (lambda: None, elf.unlink):
        prepare()
        code, said, _ = verify(out, "--json")
        assert code == 0 and "OUT's own C, compiled again" in json.loads(said)["verified"]


def test_an_edited_firmware_has_a_build_number_of_its_own(out: Path, tmp_path: Path) -> None:
    """By which --port knows it."""
    board, numbers = load_board(BOARD), []
    for edit in ("", "/* once */\n", "/* twice */\n"):
        with (out / "net.c").open("a") as file:
            file.write(edit)
        output = OutputFolder(out)
        sources = sources_for(output, board)
        numbers.append(expected_build(sources))
        with EmulatedBoard(board, firmware_on(output, board, tmp_path / str(len(numbers))).elf) as line:
            session = Session(line, digest=output.digest, timing=EMULATED)
            session.hello()
            assert session.facts.build == numbers[-1]
            assert refuse_stale(output, session.facts) == sources.words
        if edit:
            with pytest.raises(BoardError, match="another build of this network"):
                refuse_stale(output, replace(session.facts, build=numbers[0]))
    assert len(set(numbers)) == 3


# what is done to OUT: (file, what becomes of it), message
DAMAGED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "flipped network": ("model/network.npz", lambda file: flip(file), "model/network.npz is not what the build wrote"),
    "flipped report": ("report.json", lambda file: flip(file), "report.json is not what the build wrote"),
    "flipped int8 model": (
        "model/model.int8.onnx",
        lambda file: flip(file),
        "model/model.int8.onnx is not what the build wrote",
    ),
    "flipped float model": (
        "model/model.float32.onnx",
        lambda file: flip(file),
        "model/model.float32.onnx is not what",
    ),
    "flipped plan": ("model/plan.json", lambda file: flip(file), "model/plan.json is not what the build wrote"),
    "no plan": ("model/plan.json", Path.unlink, "no model/plan.json"),
    "no network": ("model/network.npz", Path.unlink, "no model/network.npz"),
    "no report": ("report.json", Path.unlink, "no report.json"),
    "no manifest": (MANIFEST, Path.unlink, f"no {MANIFEST}"),
    "no C": ("net.c", Path.unlink, "no net.c"),
    "C that does not compile": ("net.c", lambda file: file.write_text("int"), "does not compile as it was edited"),
    "a Makefile that makes nothing": ("Makefile", lambda file: file.write_text("all:\n"), "does not compile as it was"),
}


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_refused_in_one_message(name: str, out: Path, verify: Verify) -> None:
    path, damage, message = DAMAGED[name]
    damage(out / path)
    code, said, complaint = verify(out, "--board", BOARD)
    assert (code, said) == (2, "") and message in complaint.splitlines()[0]


def signed_again(out: Path, changed: str, content: bytes) -> None:
    """A file of the build changed by hand, and the manifest with it."""
    (out / changed).write_bytes(content)
    manifest = read_manifest(out)
    assert manifest is not None
    (out / MANIFEST).write_bytes(Manifest({**manifest.files, changed: digest_of(content)}).to_bytes())


def moved(plan: Any, by: int) -> None:
    list(plan["plan"]["buffers"].values())[1]["offset"] += by


# what is done to plan.json before it is signed again, and what is said of it
FORGED: dict[str, tuple[Callable[[Any], object], str]] = {
    "an offset 16 off": (lambda plan: moved(plan, 16), "buffers of"),
    "a kernel swapped": (
        lambda plan: plan["kernels"].update({next(iter(plan["kernels"])): "mbn_add_s8_scalar"}),
        "the kernel",
    ),
    "a missing buffer": (lambda plan: plan["plan"]["buffers"].popitem(), "its buffers are not those"),
    "another network's digest": (lambda plan: plan["subject"].update(network_sha256="0" * 64), "its network sha256"),
    "another board's": (lambda plan: plan["subject"].update(board=OTHER_BOARD), "its board is not"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_plan_is_refused(name: str, out: Path, verify: Verify) -> None:
    forge, message = FORGED[name]
    plan = json.loads((out / "model/plan.json").read_bytes())
    forge(plan)
    signed_again(out, "model/plan.json", json.dumps(plan).encode())
    code, said, complaint = verify(out, "--board", BOARD)
    assert (code, said) == (2, "") and complaint.startswith("error: cannot read plan.json: " + message), complaint


def test_a_plan_of_another_network_is_refused(out: Path, model: Path, tmp_path: Path, verify: Verify) -> None:
    onnx.save(head_squeeze_attributes_matmul_add().model(), str(tmp_path / "other.onnx"))
    build(tmp_path / "other.onnx", tmp_path / "other", "--board", BOARD)
    foreign = json.loads((tmp_path / "other" / "model/plan.json").read_bytes())
    signed_again(out, "model/plan.json", json.dumps(foreign).encode())
    code, _, complaint = verify(out, "--board", BOARD)
    assert code == 2 and complaint.startswith("error: cannot read plan.json: its network sha256 is not that")
    foreign["subject"]["network_sha256"] = digest_of((out / "model/network.npz").read_bytes())
    signed_again(out, "model/plan.json", json.dumps(foreign).encode())
    code, _, complaint = verify(out, "--board", BOARD)
    assert code == 2 and complaint.startswith("error: cannot read plan.json: "), complaint


def test_the_plan_of_another_build_of_the_network_is_refused(
    for_board: Path, model: Path, tmp_path: Path, verify: Verify
) -> None:
    """A Plan that is right in itself, but not the one that the C has."""
    build(model, tmp_path / "out", "--board", BOARD, "--optimize", "speed")
    other = (tmp_path / "out" / "model/plan.json").read_bytes()
    assert json.loads(other)["plan"] != json.loads((for_board / "model/plan.json").read_bytes())["plan"]
    shutil.copytree(for_board, tmp_path / "own")
    signed_again(tmp_path / "own", "model/plan.json", other)
    code, _, complaint = verify(tmp_path / "own", "--board", BOARD)
    assert code == 2 and complaint.startswith("error: plan.json and report.json are of two builds"), complaint


# what is done with OUT: (folder, command); the second runs its own C on another board
UNPLANNED = {
    "verify": ("for_board", ("verify", "--layers")),
    "verify elsewhere": ("for_board", ("verify", "--board", OTHER_BOARD)),
    "verify without a board": ("for_core", ("verify", "--board", BOARD)),
    "bench": ("for_board", ("bench",)),
    "flash": ("for_core", ("flash", "--board", "nucleo-f767zi", "--dry-run")),
}


@pytest.mark.parametrize("name", UNPLANNED)
def test_nothing_is_planned_or_rendered_again(
    name: str, request: pytest.FixtureRequest, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this takes seconds, and was done by the build")

    fixture, (command, *words) = UNPLANNED[name]
    out = request.getfixturevalue(fixture)
    monkeypatch.setattr("mbn2c.commands.output_folder.reading.choose_plan", refuse)
    monkeypatch.setattr("mbn2c.emit.c_files.model_files", refuse)
    images = ["--images", str(model.parent / "noise.npz")] if command == "verify" else []
    assert main([command, str(out), *images, *words]) == 0
    with pytest.raises(AssertionError):  # so it is the saved Plan that was taken
        OutputFolder(out).choice(load_core("cortex-m0plus"))


def test_a_build_that_was_killed_is_noticed(out: Path, verify: Verify) -> None:
    done = Manifest(read_manifest(out).files, {})  # type: ignore[union-attr]
    (out / MANIFEST).write_bytes(done.to_bytes())
    code, _, complaint = verify(out, "--board", BOARD)
    assert code == 2 and "a build was broken off while it wrote into this folder" in complaint


def test_a_folder_of_another_version_is_refused(out: Path, verify: Verify) -> None:
    old = Manifest(read_manifest(out).files, version="0.0.1")  # type: ignore[union-attr]
    (out / MANIFEST).write_bytes(old.to_bytes())
    code, _, complaint = verify(out, "--board", BOARD)
    assert code == 2 and "the folder is of mbn2c 0.0.1" in complaint


def test_flash_and_bench_take_what_lies_in_out(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", str(out), "--board", "pico", "--dry-run"]) == 0
    assert "C for pico planned and made from network.npz" in capsys.readouterr().out
    assert main(["bench", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measured"] == OWN_FIRMWARE
    (out / "net.c").write_text((out / "net.c").read_text() + "/* edited */\n")
    assert main(["flash", str(out), "--board", "pico", "--dry-run"]) == 2
    assert "where: net.c" in capsys.readouterr().err
    assert main(["bench", str(out)]) == 0
    assert "as it was edited since its build (net.c)" in capsys.readouterr().out.splitlines()[0]


# --- the build command ---


def test_out_is_named_after_the_network(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["build", str(model), "--calib", "random", "--quantize", "fast", "--target", "host"]
    assert main(words) == main([*words, "--name", "person"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["net", "person"]
    assert main([*words, "--name", "../person"]) == 2


def test_a_refusal_comes_before_the_work(
    out: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mbn2c.cli.build.build", lambda *_: pytest.fail("it has begun to work"))
    (out / "net.c").write_text("mine")
    build(model, out, "--board", BOARD, code=2)
    assert "net.c (edited since its build)" in capsys.readouterr().err
    shutil.copytree(out, out.parent / "foreign", ignore=shutil.ignore_patterns(MANIFEST))
    build(model, out.parent / "foreign", "--board", BOARD, code=2)


def test_a_network_that_does_not_fit_leaves_out_as_it_was(
    out: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(out)
    monkeypatch.setattr("mbn2c.commands.output_folder.building.network_sizes", lambda *_: Sizes(3000, stack_bytes=1000))
    for place in (out, tmp_path / "new"):
        build(model, place, "--target", "cortex-m0plus", "--ram-limit", "1100", code=4)
    assert content(out) == before and not (tmp_path / "new").exists()


def test_a_full_disk_under_the_compiler(
    out: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(out)
    compiler = out.parent / "arm-none-eabi-gcc"
    compiler.write_text("#!/bin/sh\necho 'cc1: error: writing to out: No space left on device' >&2; exit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{out.parent}:{os.environ['PATH']}")
    build(model, out, "--target", "cortex-m3", code=2)
    assert "cannot write what is compiled: No space left on device" in capsys.readouterr().err
    assert content(out) == before


def test_a_kill_under_the_compiler(out: Path, model: Path) -> None:
    """The compiler kills mbn2c and works on: OUT is as it was, and the next build is not mixed with what it makes."""
    before, orphan = content(out), out.parent / "orphan"
    compiler = out.parent / "arm-none-eabi-gcc"
    compiler.write_text(
        "#!/bin/sh\nkill -9 $(cut -d' ' -f4 /proc/$PPID/stat)\n"
        f"for i in $(seq 6000); do [ -e {orphan} ] && break; sleep 0.01; done\necho x > build/net.o\n"
    )
    compiler.chmod(0o755)
    words = ["build", str(model), "--calib", "random", "--quantize", "fast", "--target", "cortex-m3", "-o", str(out)]
    environment = {**os.environ, "PATH": f"{out.parent}:{os.environ['PATH']}"}
    killed = subprocess.run([sys.executable, "-m", "mbn2c", *words], env=environment, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert {path: data for path, data in content(out).items() if not path.startswith(STAGE)} == before
    assert OutputFolder(out).manifest and (out / STAGE).is_dir()
    orphan.touch()
    build(model, out, "--board", BOARD)
    assert content(out) == before and not (out / STAGE).exists()


# --- files of the user in OUT are never compiled ---

# a file that make or the compiler would find by its name, or an environment variable that leads there
INTRUDERS = {
    "same name in firmware": ("firmware/net.c", {}),
    "same name of a kernel": ("firmware/mbn_kernels.c", {}),
    "main beside": ("main.c", {}),
    "yacc": ("net.y", {}),
    "lex": ("firmware/main.l", {}),
    "header of the library": ("string.h", {}),
    "header of the library beside the firmware": ("firmware/stdint.h", {}),
    "search path": ("mine/net.c", {"VPATH": "mine"}),
    "another makefile": ("mine.mk", {"MAKEFILES": "mine.mk"}),
}


@pytest.mark.parametrize("name", INTRUDERS)
def test_a_users_files_are_not_compiled(
    name: str, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch, verify: Verify
) -> None:
    path, environment = INTRUDERS[name]
    write_bundle({path: b"#error mine\n%%%\nmine: ; exit 1\n"}, out)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, str(out / value))
    firmware = (out / "build/net.elf").read_bytes()
    with (out / "net.c").open("a") as file:
        file.write("/* edited: compiled again */\n")
    assert verify(out, "--board", BOARD)[0] == 0
    if not environment:  # what the user's own make is told is theirs
        made = subprocess.run(["make", "-C", out, "-B"], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        assert (out / "build/net.elf").read_bytes() == firmware
    build(model, out, "--board", BOARD, "--force")
    assert (out / "build/net.elf").read_bytes() == firmware and (out / path).read_bytes().startswith(b"#error mine")


def test_cmake_does_not_compile_them_either(out: Path, need_tool: Callable[[str], str], tmp_path: Path) -> None:
    need_tool("cmake")
    write_bundle({path: b"#error mine\n" for path, _ in INTRUDERS.values() if not path.endswith(".h")}, out)
    for words in (["-S", str(out), "-B", "made"], ["--build", "made"]):
        done = subprocess.run(["cmake", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_nothing_is_to_be_made_after_a_build(out: Path, model: Path) -> None:
    for words in ((), ("--optimize", "ram"), ("--optimize", "speed")):
        build(model, out, "--board", BOARD, *words)
        made = subprocess.run(["make", "-C", out, "-q"], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
