"""What cannot fit is refused before an image is read, with what would fit; what may fit is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mbn2c.commands import demo
from mbn2c.commands.build import build
from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.explore.scaled import scaled
from mbn2c.commands.fit import check_beside, check_fit
from mbn2c.commands.sized_graph import sized
from mbn2c.emit.network.model import Names, PlannedNetwork
from mbn2c.errors import FitError, ModelError
from mbn2c.ir.graph import Graph
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.estimate import Estimates
from mbn2c.targets import Board, load_board, load_core

BOARD = load_board("nucleo-f446re")
CORE = load_core("cortex-m4")
OPTIONS = BuildOptions(model=demo.MODEL_FILE, core=CORE, calib="random")


def small(kind: str, size_bytes: int) -> Board:
    memories = (replace(one, size_bytes=size_bytes) if one.kind == kind else one for one in BOARD.memories)
    return replace(BOARD, memories=tuple(memories))


@pytest.fixture(scope="module")
def imported() -> Graph:
    return import_lowered(demo.MODEL_FILE)


CASES = [
    # (case, what is changed, words of what is wrong, words of what to do)
    ("RAM of a board", {"board": small("ram", 12_400)}, "arena and context take at least", "an input of"),
    ("flash of a board", {"board": small("flash", 30_000)}, "constants and code take at least", "of the channels"),
    ("--weights 8", {"board": small("flash", 60_000), "weights": "8"}, "code take at least", "of the channels"),
    ("--ram-limit", {"ram_limit": 5_500}, "--ram-limit 5,500 B", "of the channels"),
]


@pytest.mark.parametrize(("change", "what", "hint"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_cannot_fit_is_refused_before_any_image(
    change: dict[str, object], what: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mbn2c.commands.build.read_network", lambda *arguments: pytest.fail("images were read"))
    with pytest.raises(FitError, match=what) as refused:
        build(replace(OPTIONS, **change))  # type: ignore[arg-type]
    assert hint in refused.value.hint
    assert ("boards that fit" in refused.value.hint) == ("board" in change)
    assert "nucleo-f446re" in refused.value.hint or "board" not in change  # the real one has enough


def test_the_size_that_is_named_fits(imported: Graph) -> None:
    options = replace(OPTIONS, board=small("ram", 12_400))
    with pytest.raises(FitError) as refused:
        check_fit(options)
    [words] = [part for part in refused.value.hint.split("; ") if part.startswith("an input of")]
    height, width = map(int, words.split()[-1].split("x"))
    assert (height, width) < (32, 32)
    arena = Estimates(sized(scaled(imported, (height, width)))).of(CORE).plan.arena_bytes
    whole = Estimates(sized(imported)).of(CORE).plan.arena_bytes
    assert arena < whole


def test_what_may_fit_is_not_refused() -> None:
    check_fit(OPTIONS)
    check_fit(replace(OPTIONS, board=BOARD, ram_limit=100_000))
    check_fit(replace(OPTIONS, board=small("flash", 60_000)))  # with weights of four bits


def test_networks_of_one_program_share_the_flash(imported: Graph) -> None:
    choice = Estimates(sized(imported)).of(CORE)
    other = PlannedNetwork(choice.plan, choice.kernels, Names("other", "other", bytes(32)))
    enough = small("flash", 100_000)
    check_beside(choice, (), enough)
    with pytest.raises(FitError, match="constants and code take at least") as refused:
        check_beside(choice, (other,), enough)
    assert "other" in refused.value.where


def test_a_scaled_network_is_the_same_at_another_size_and_width(imported: Graph) -> None:
    whole = scaled(imported)
    assert [tensor.shape for tensor in whole.tensors.values()] == [t.shape for t in imported.tensors.values()]
    half = scaled(imported, (24, 40), 0.5)
    assert half.tensors[half.inputs[0].tensor].shape == (1, 24, 40, 1)
    assert [port.shape for port in half.outputs] == [port.shape for port in imported.outputs]
    inner = [node.outputs[0] for node in imported.nodes if node.op == "depthwise_conv2d"]
    for name in inner:
        before, after = imported.tensors[name].shape[3], half.tensors[name].shape[3]
        assert (after % 8 == 0 and after < before) or before == 8
    with pytest.raises(ModelError, match="does not exist"):
        scaled(imported, (0, 8))
