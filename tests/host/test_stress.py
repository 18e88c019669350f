"""The stress set: inputs that are the same everywhere and reach all layers, and faults that only it sees."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import assert_exact, build_folder, demo_options, verify_told
from mutants import damaged_constant
from wrong_device import Dying

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import Device, VerifyOptions, check_gates, verify_on_all
from mbn2c.commands.verify.device import Instructions
from mbn2c.commands.verify.one_image import open_models
from mbn2c.commands.verify.stress import StressSet
from mbn2c.emit.expectations import expectations
from mbn2c.errors import BoardError, GateError, UsageError
from mbn2c.firmware import toolchain
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.network.stress_inputs import (
    STRESS_INPUTS,
    StressRecipe,
    candidates,
    choose_stress,
    open_stress,
    stress_codes,
)
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.report.text import verify_text
from mbn2c.targets import load_board, load_core

IMAGES = 5
DAMAGED_STEP, DAMAGED_ELEMENT = 19, 3


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), demo_options("host", "host"), compiled=True)


@pytest.fixture
def plug_in(output: OutputFolder) -> Iterator[Callable[..., Device]]:
    opened: list[EmulatedBoard] = []

    def plug(elf: Path | None = None, name: str = "") -> Device:
        line = EmulatedBoard(load_board("host"), elf or output.path / output.report["firmware"]["file"])
        opened.append(line)
        return Device(line, Session(line, digest=output.digest, timing=EMULATED), name)

    yield plug
    for line in opened:
        line.close()


def options(**more: Any) -> VerifyOptions:
    return VerifyOptions(demo.TEST_FOLDER, demo.TEST_LABELS, IMAGES, **more)


# --- the inputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size", "crc"),
    [
        ("ramp 1 seed 0", (32, 32, 1), 0xFE4B13CE),
        ("mosaic 8 seed 3", (24, 40, 3), 0xEF047D21),
        ("octaves 7 seed 0", (32, 20, 3), 0xF548CC86),
        ("binary 4 seed 1", (9, 13, 4), 0x11C34A40),
        ("mosaic 16 seed 0", (1, 1, 1), 0xEB015C4F),
    ],
)
def test_an_input_is_the_same_on_every_machine(text: str, size: tuple[int, int, int], crc: int) -> None:
    recipe = StressRecipe.parse(text)
    pixels = recipe.pixels(*size)
    assert (str(recipe), pixels.shape, pixels.dtype) == (text, (1, *size), np.uint8)
    assert zlib.crc32(pixels.tobytes()) == crc


@pytest.mark.parametrize(
    "text", ["", "ramp", "noise 1 seed 0", "ramp 0 seed 0", "ramp 1 seed -1", "ramp 01 seed 0", "ramp 1 seed 0 "]
)
def test_what_is_no_recipe(text: str) -> None:
    with pytest.raises(UsageError, match="no stress input"):
        open_stress([*["ramp 1 seed 0"] * (STRESS_INPUTS - 1), text])


@pytest.mark.parametrize("recipes", [[], ["ramp 1 seed 0"], ["ramp 1 seed 0"] * (STRESS_INPUTS + 1), "ramp"])
def test_what_is_no_set(recipes: Sequence[str]) -> None:
    with pytest.raises(UsageError, match=f"does not name {STRESS_INPUTS} stress inputs"):
        open_stress(recipes)


@pytest.mark.parametrize("size", [(32, 32, 1), (24, 100, 3), (224, 224, 3)])
def test_the_first_input_has_every_value_of_every_channel(size: tuple[int, int, int]) -> None:
    pixels = StressRecipe("ramp", 1, 0).pixels(*size)
    assert all(len(np.unique(pixels[..., channel])) == 256 for channel in range(size[2]))


def test_the_set_reaches_what_one_kind_of_noise_does_not(output: OutputFolder) -> None:
    graph = output.graph

    def silent(recipes: list[StressRecipe]) -> int:
        """Channels of all layers that never change."""
        runs = [
            run_graph(graph, {graph.inputs[0].tensor: stress_codes(graph, one.pixels(32, 32, 1), output.names.tables)})
            for one in recipes
        ]
        stacked = {
            node.outputs[0]: np.concatenate(
                [run[node.outputs[0]].reshape(-1, run[node.outputs[0]].shape[3]) for run in runs]
            )
            for node in graph.nodes
        }
        return sum(int((np.ptp(values.astype(int), axis=0) == 0).sum()) for values in stacked.values())

    chosen = open_stress(output.report["stress"])
    assert len(set(chosen)) == STRESS_INPUTS and chosen[0] == StressRecipe("ramp", 1, 0)
    noise = [StressRecipe("octaves", 1, seed) for seed in range(STRESS_INPUTS)]
    assert silent(chosen) < 20 < 100 < silent(noise)


def test_candidates_are_bounded(output: OutputFolder) -> None:
    runs: list[int] = []

    def counted(items: Any, title: str, total: int) -> Iterator[Any]:
        runs.append(total)
        yield from items

    assert choose_stress(output.graph, output.names.tables, counted) == output.report["stress"]
    assert runs == [21] and len(set(candidates(224, 224, 20))) == 20


# --- on devices ----------------------------------------------------------------------------------


def test_verify_runs_it(output: OutputFolder, plug_in: Callable[..., Device]) -> None:
    result = verify_on_all(output, [plug_in(), plug_in()], options())
    assert_exact(result, IMAGES)
    found = {key: result[f"stress_{key}"] for key in ("inputs", "layers", "constants", "mismatches")}
    # 29 layers have weights, biases and multipliers; and there is the table of pixels.
    assert found == {"inputs": 3, "layers": 37, "constants": 3 * 29 + 1, "mismatches": 0}
    assert "stress set                            3 inputs, 37 layers each, and" in verify_text(result)
    check_gates(result, None)


def test_what_it_finds_is_told_first(output: OutputFolder, plug_in: Callable[..., Device]) -> None:
    """`first_mismatch` is of the set then: beside another gate's words it would name the wrong place and remedy."""
    right = verify_on_all(output, [plug_in()], options())
    wrong = {"device_vs_reference_mismatches": 11, "stress_mismatches": 5, "first_mismatch": "constant array a"}
    with pytest.raises(GateError, match="5 stress inputs or constant arrays differ"):
        check_gates(right | wrong, None)


def test_it_can_be_left_out(output: OutputFolder, plug_in: Callable[..., Device]) -> None:
    result = verify_on_all(output, [plug_in()], options(stress=False))
    assert_exact(result, IMAGES)
    assert result["stress_inputs"] == 0
    assert "stress set                            left out (--no-stress)" in verify_text(result)


@pytest.fixture(scope="module")
def damaged(output: OutputFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Firmware with one multiplier one larger, which changes no output of any image here."""
    folder = tmp_path_factory.mktemp("damaged")
    for file in output.path.rglob("*"):
        if file.suffix in (".c", ".h") or file.name == "Makefile":
            (folder / file.relative_to(output.path)).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.relative_to(output.path)).write_bytes(file.read_bytes())
    constants = folder / "digits_constants.c"
    constants.write_text(
        damaged_constant(constants.read_text(), f"digits_step{DAMAGED_STEP}_multiplier", DAMAGED_ELEMENT, 1)
    )
    return toolchain.build(folder, "digits", load_core("host"), load_board("host")).path


def test_a_wrong_constant_that_no_image_shows(
    output: OutputFolder, plug_in: Callable[..., Device], damaged: Path
) -> None:
    blind = verify_on_all(output, [plug_in(damaged)], options(stress=False))
    assert blind["device_vs_reference_mismatches"] == 0
    result = verify_on_all(output, [plug_in(name="good"), plug_in(damaged, "bad")], options())
    assert result["stress_mismatches"] >= 1
    with pytest.raises(GateError, match="stress inputs or constant arrays differ") as refused:
        check_gates(result, None)
    assert "bad, constant array step19_multiplier (/features" in str(refused.value)


@pytest.mark.parametrize("layers", [False, True])
def test_a_wrong_layer_is_named(
    layers: bool, output: OutputFolder, plug_in: Callable[..., Device], damaged: Path
) -> None:
    """By the layers' digests: the kernel that reads the constant is the first to differ."""
    result = verify_on_all(output, [plug_in(damaged)], options(layers=layers))
    found: list[str] = []
    for _ in StressSet(output, open_models(output, {})).run(plug_in(damaged), found):
        pass
    assert result["stress_mismatches"] == len(found)
    assert found[0].startswith("constant array") and f"step {DAMAGED_STEP}, /features" in found[1]


@pytest.mark.parametrize("writes", [5, 100])
def test_a_device_that_dies_in_it_is_lost(writes: int, output: OutputFolder, plug_in: Callable[..., Device]) -> None:
    def weak() -> Device:
        line = Dying(plug_in().transport, writes)
        return Device(line, Session(line, digest=output.digest, timing=EMULATED), "weak")

    result = verify_on_all(output, [weak(), plug_in()], options())
    assert_exact(result, IMAGES)
    assert result["devices_lost"] == ["weak: port is gone"] and result["stress_mismatches"] == 0
    with pytest.raises(BoardError, match="is gone"):
        verify_on_all(output, [weak(), weak()], options())


@pytest.mark.parametrize("dies_in", ["stress set", "images"])
def test_what_it_found_stands_if_the_device_dies_later(
    dies_in: str, output: OutputFolder, plug_in: Callable[..., Device], damaged: Path
) -> None:
    line = Dying(plug_in(damaged).transport, 1 << 30)

    def until_then(items: Iterable[int], title: str, total: int) -> Iterator[int]:
        for number, item in enumerate(items):
            if title == dies_in and number == 1:
                line.left = 0
            yield item

    weak = Device(line, Session(line, digest=output.digest, timing=EMULATED), "weak")
    with pytest.raises(GateError, match=r"differ: \d+, then: port is gone") as refused:
        verify_told(output, [weak], options(layers=True), until_then)
    assert "constant array step19_multiplier" in str(refused.value)


def test_a_resumed_verify_runs_it_again(output: OutputFolder, plug_in: Callable[..., Device], tmp_path: Path) -> None:
    def broken_off(items: Iterable[int], title: str, total: int) -> Iterator[int]:
        for number, item in enumerate(items):
            if title == "images" and number == 2:
                raise KeyboardInterrupt
            yield item

    kept = options(journal=tmp_path / "verify.journal", resume=True)
    with pytest.raises(KeyboardInterrupt):
        verify_told(output, [plug_in()], kept, broken_off)
    result = verify_on_all(output, [plug_in()], kept)
    assert (result["resumed_images"], result["stress_inputs"], result["stress_mismatches"]) == (2, 3, 0)


# --- what it stands on ---------------------------------------------------------------------------


def test_the_saved_plan_is_that_of_planning_anew(output: OutputFolder) -> None:
    facts, board = output.report["build"], load_board("host")
    anew = choose_plan(output.graph, output.core, facts["optimize"], facts["ram_limit"], board)
    saved = output.choice(output.core, board)
    assert (saved.plan, saved.kernels, saved.isas) == (anew.plan, anew.kernels, anew.isas)
    expected = output.expectations(output.core, board)
    assert expected == expectations(anew.plan, anew.kernels, output.names)
    weighted = {node.name for node in output.graph.nodes if node.op not in ("add", "average_pool2d")}
    assert {one.owner for one in expected.constants} == {*weighted, ""}


def test_checksums_of_constants(output: OutputFolder, plug_in: Callable[..., Device]) -> None:
    session, arrays = plug_in().session, output.expectations(output.core, load_board("host")).constants
    assert [session.constant(number) for number in range(len(arrays))] == [(one.size_bytes, one.crc) for one in arrays]
    with pytest.raises(BoardError, match="refused"):
        session.constant(len(arrays))


def test_instructions_are_counted_from_where_they_stand() -> None:
    class Counting(EmulatedBoard):
        counts = True

        def __init__(self) -> None:
            self.counted = [7] * 9  # of the stress set

        def instruction_counts(self) -> list[int]:
            return self.counted

    board = Counting()
    instructions = Instructions(board, rows=1)
    board.counted = [*board.counted, 10, 20, 30]
    assert instructions.note() == [60]
