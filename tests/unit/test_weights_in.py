"""--weights-in: which layers it means, what is refused, and that each memory is counted by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from host_c import Net
from models import tiny_mobilenet_v2
from networks import kernels_of, plan_with_cuts, quantized

from mbn2c.commands import demo
from mbn2c.commands.build import BuildOptions, build
from mbn2c.commands.fit import check_fit
from mbn2c.errors import FitError, Mbn2cError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.kernels.sections import bytes_in_sections, check_sections, sections_of
from mbn2c.planner.blocks import in_blocks
from mbn2c.planner.choice import Choice, choose_plan, constants_bytes, excess_flash, fullest_flash
from mbn2c.planner.cost import bytes_read_by_section
from mbn2c.planner.plan_file import PlanSubject, plan_to_bytes, read_plan
from mbn2c.targets import Board, Memory, load_board, load_core

CORE = load_core("cortex-m7")
SUBJECT = PlanSubject.of("digest", CORE, None)
KIB = 1024


@pytest.fixture(scope="module")
def graph() -> Graph:
    return quantized(tiny_mobilenet_v2())


def board_with(flash_bytes: int, qspi_bytes: int) -> Board:
    """An M7 with a flash of its own, and one outside that holds nothing unless it is asked to."""
    board = load_board("nucleo-h743zi2")
    inside = (replace(one, size_bytes=flash_bytes) if one.kind == "flash" else one for one in board.memories)
    return replace(board, memories=(*inside, Memory("qspi", "flash", 0x90000000, qspi_bytes, ())))


REFUSED = [
    # (words, a board, what is said)
    (("a b",), None, "'a b' is no name"),
    ((".text",), None, "no name of a section"),
    (("",), None, "no name of a section"),
    (("qspi", "x=ram"), None, "one section for all layers, or one for each"),
    (("hyperflash",), board_with(KIB, KIB), "has no flash that is called 'hyperflash'"),
    (("dtcm",), board_with(KIB, KIB), "has no flash that is called 'dtcm'"),
]


@pytest.mark.parametrize(("words", "board", "what"), REFUSED)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], board: Board | None, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        check_sections(words, board)


def test_layers_are_named_with_or_without_a_star(graph: Graph) -> None:
    everything = sections_of(("qspi",), graph)
    assert set(everything.values()) == {"qspi"}
    assert set(everything) == {node.name for node in graph.nodes if len(node.inputs) == 3}
    name = next(iter(everything))
    assert sections_of((f"{name}=a",), graph) == {name: "a"}
    assert sections_of(("*=a", f"{name}=b"), graph) == {**dict.fromkeys(everything, "a"), name: "b"}
    with pytest.raises(UsageError, match="no layer with weights is called 'nothing'"):
        sections_of(("nothing=qspi",), graph)


def test_only_weights_that_are_named_get_the_macro(graph: Graph) -> None:
    plan = plan_with_cuts(graph, [])
    sections = sections_of(("qspi",), graph)
    first = next(iter(sections))
    with_one = Net("n", plan, sections={first: "qspi"}).files()
    step = next(call.step for call in plan.calls if call.node == first)
    plain, text = Net("n", plan).files(), with_one["n_constants.c"].decode()
    assert text.replace("N_IN_QSPI const", "const").encode() == plain["n_constants.c"]
    assert [line for line in text.splitlines() if "N_IN_QSPI" in line] == [
        line for line in text.splitlines() if f" n_step{step}_weights[" in line
    ]
    assert with_one["n.c"] == plain["n.c"]


def test_each_memory_is_counted_by_itself(graph: Graph) -> None:
    plain, apart = (
        choose_plan(graph, CORE, "balanced", sections=sections_of(words, graph)) for words in ((), ("qspi",))
    )
    weights = bytes_in_sections(apart.plan, apart.kernels, apart.sections)["qspi"]
    rest = constants_bytes(plain) - weights
    assert weights > 2 * rest
    code = taken(plain, board_with(KIB, KIB)) - constants_bytes(plain)
    assert taken(apart, board_with(KIB, 64 * KIB)) == rest + code
    board = board_with(64 * KIB, weights - 1)
    assert excess_flash(apart, board) == f"weights take {weights:,} B, 'qspi' of {board.name} has {weights - 1:,} B"
    assert excess_flash(apart, board_with(rest + code, weights)) == ""
    assert "'flash' of" in excess_flash(apart, board_with(rest + code - 1, weights))
    # On a board without that memory, where the same C is verified, they lie with all constants.
    elsewhere = load_board("nucleo-f446re")
    assert taken(apart, elsewhere) == taken(plain, elsewhere)


def taken(choice: Choice, board: Board) -> int:
    use = fullest_flash(choice, board)
    assert use is not None
    return use.taken_bytes


def test_slow_weights_are_read_less_often_where_a_cache_keeps_them(graph: Graph) -> None:
    """A layer's weights are read once for the rows of a run; only what a cache holds is worth such runs."""
    sections = sections_of(("qspi",), graph)
    fast = board_with(64 * KIB, 64 * KIB)
    choices = {}
    for cache_bytes in (0, 64 * KIB):
        slow = Memory(
            "qspi", "flash", 0x90000000, 64 * KIB, (), wait_bytes=32, wait_cycles=400, cache_bytes=cache_bytes
        )
        board = replace(fast, memories=(*fast.memories[:-1], slow))
        choices[cache_bytes] = choose_plan(graph, CORE, "speed", board=board, sections=sections)
    plain = choose_plan(graph, CORE, "speed", board=fast, sections=sections)
    assert choices[0].plan.loops == plain.plan.loops
    reads = [bytes_read_by_section(one.plan, sections)["qspi"] for one in (choices[64 * KIB], plain)]
    assert reads[0] < 0.7 * reads[1]
    assert any(point.plan is choices[64 * KIB].plan for point in choices[64 * KIB].curve)
    again = read_plan(plan_to_bytes(choices[64 * KIB], SUBJECT), "plan.json", graph, SUBJECT)
    assert again.plan.loops == choices[64 * KIB].plan.loops


def test_runs_of_several_rows_need_no_threads(graph: Graph) -> None:
    plan = in_blocks(plan_with_cuts(graph, []), kernels_of(graph), 2, least_instructions=0)
    alone, shared = (Net("n", plan, threads=threads).files() for threads in (False, True))
    assert not any("threads" in path or b"threads" in alone[path] for path in alone if path.startswith(("n", "mbn_t")))
    assert "mbn_threads.h" in shared and b"n_run_threads" in shared["n.h"]


def test_a_flash_that_is_too_small_leads_to_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    for other_hints, none in {"_boards": [], "_fits": False}.items():
        monkeypatch.setattr(f"mbn2c.commands.fit.{other_hints}", lambda *arguments, none=none: none)
    options = BuildOptions(model=demo.MODEL_FILE, core=CORE, calib="random", weights="8")
    with pytest.raises(FitError, match="'flash' of nucleo-h743zi2 has 32,768 B") as refused:
        check_fit(replace(options, board=board_with(32 * KIB, 64 * KIB)))
    assert "--weights-in qspi" in refused.value.hint
    check_fit(replace(options, board=board_with(32 * KIB, 64 * KIB), weights_in=("qspi",)))


def test_a_layer_that_is_not_there_is_refused_before_any_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbn2c.commands.build.read_network", lambda *arguments: pytest.fail("images were read"))
    options = BuildOptions(
        model=demo.MODEL_FILE,
        core=CORE,
        calib="random",
        weights_in=("nothing=qspi",),
        board=board_with(512 * KIB, 64 * KIB),
    )
    with pytest.raises(Mbn2cError, match="no layer with weights is called 'nothing'"):
        build(options)
