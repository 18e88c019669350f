"""The generated C computes the reference bit by bit, under sanitizers too, and keeps its promises as C."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from host_c import SANITIZE, SANITIZE_ANY, STRICT, Net, compile_c, first_difference, own_rows, run_program, write_c
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from models import OPERATOR_CASES, tiny_mobilenet_v2, tiny_two_outputs
from networks import cut_lists, int8_inputs, kernels_of, networks, piece_lists, plan_with_cuts, quantized
from places import ROOT
from tiny_nets import tiny_nets

from mbn2c.emit.network.c_names import check_prefix, prefix_of
from mbn2c.errors import UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.text import print_graph, print_plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

SANITIZERS = {
    "gcc": ("gcc", SANITIZE),
    "clang": ("clang", SANITIZE_ANY),
    # Finds arena bytes that are read before they are written.
    "clang memory": ("clang", ("-O1", "-w", "-fsanitize=memory", "-fno-sanitize-recover=all")),
}

# The C of tails, which works on real numbers.
_REAL_NUMBERS = re.compile(r"_(softmax|sigmoid|tanh|l2_normalize|quantize_row)\d?\.c$")


@dataclass(frozen=True)
class Drawn:
    """A network and a way to cut it.

    all_plans  layer by layer and in whole rows as well
    """

    graph: Graph
    cuts: Sequence[bool]
    pieces: Sequence[int]
    all_plans: bool = True

    def plans(self) -> list[Plan]:
        cut = plan_with_cuts(self.graph, self.cuts, self.pieces)
        if not self.all_plans:
            return [cut]
        plans = [plan_layerwise(self.graph, kernels_of(self.graph)), cut]
        return [*plans, plan_with_cuts(self.graph, self.cuts)] if cut.pieced_steps else plans


def check_nets(folder: Path, drawn: Sequence[Drawn], sanitizer: str) -> None:
    """All networks, each with its Plans, in one program: every row of every step is what the Graph says."""
    nets, inputs = [], []
    for index, network in enumerate(drawn):
        for place, plan in enumerate(network.plans()):
            nets.append(Net(f"n{index}_{place}", plan))
            inputs.append(list(int8_inputs(network.graph, 4, seed=index)))
    compiler, flags = SANITIZERS[sanitizer]
    found = run_program(folder, nets, inputs, compiler, flags)
    for net, images, results in zip(nets, inputs, found, strict=True):
        graph = net.plan.graph
        for values, tensors in zip(images, results, strict=True):
            reference = own_rows(net.plan, run_graph(graph, {graph.inputs[0].tensor: values}))
            difference = first_difference(reference, tensors)
            assert difference == "", f"{difference}\n{print_graph(graph)}{print_plan(net.plan)}"


def batches(size: int, blocks: int) -> st.SearchStrategy[list[Drawn]]:
    """Many networks at once, since a compiler call costs more than a small network."""
    one = st.builds(Drawn, networks(blocks), cut_lists, piece_lists)
    return st.lists(one, min_size=size, max_size=size)


@settings(max_examples=2, phases=[Phase.generate])
@given(batches(10, 4))
def test_random_networks_under_sanitizers(tmp_path_factory: pytest.TempPathFactory, drawn: list[Drawn]) -> None:
    check_nets(tmp_path_factory.mktemp("nets"), drawn, "gcc")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_many_random_networks_under_sanitizers(
    tmp_path_factory: pytest.TempPathFactory, need_tool: Callable[[str], str], sanitizer: str
) -> None:
    need_tool(SANITIZERS[sanitizer][0])

    @settings(max_examples=5, phases=[Phase.generate])
    @given(batches(20, 6))
    def sweep(drawn: list[Drawn]) -> None:
        check_nets(tmp_path_factory.mktemp("nets"), drawn, sanitizer)

    sweep()


@pytest.mark.parametrize("sanitizer", ["gcc", *(pytest.param(n, marks=pytest.mark.slow) for n in [*SANITIZERS][1:])])
def test_operators_and_tiny_networks_under_sanitizers(
    tmp_path: Path, need_tool: Callable[[str], str], sanitizer: str
) -> None:
    """Operators in pieces of rows; layer by layer, test_operators_c has them under gcc."""
    need_tool(SANITIZERS[sanitizer][0])
    operators = [Drawn(quantized(make()), [], [3], sanitizer != "gcc") for make in OPERATOR_CASES.values()]
    networks = [Drawn(quantized(make()), [], [3]) for make in (tiny_mobilenet_v2, tiny_two_outputs)]
    check_nets(tmp_path, [*operators, *networks], sanitizer)


# --- C as promised -------------------------------------------------------------------------------


@pytest.mark.parametrize("compiler", ["gcc", "clang", "g++"])
@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_clean_under_all_warnings(
    tmp_path: Path, need_tool: Callable[[str], str], compiler: str, optimize: str
) -> None:
    need_tool(compiler)
    sources = write_c(tmp_path, list(tiny_nets().values()))
    if compiler == "g++":
        flags = tuple(flag for flag in STRICT if flag != "-Wstrict-prototypes")
        compile_c(tmp_path, ["-x", "c++", *sources], optimize, *flags, "-c", compiler=compiler, standard="-std=c++11")
    else:
        compile_c(tmp_path, sources, optimize, *STRICT, "-pedantic", "-c", compiler=compiler)


def test_needs_nothing_but_memcpy_and_memset(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """No heap, no stdio, no mutable globals; logf only where log_softmax is."""
    need_tool("nm")
    for net in tiny_nets().values():
        folder = tmp_path / net.prefix
        sources = write_c(folder, [net])
        compile_c(folder, sources, "-Os", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-r", "-o", "all.o")
        symbols = subprocess.run(["nm", "all.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
        kinds = [line.split()[-2:] for line in symbols.splitlines()]
        tails = {port.tail for port in net.plan.graph.outputs}
        allowed = {"memcpy", "memset"} | ({"logf"} if "log_softmax" in tails else set())
        assert {name for kind, name in kinds if kind == "U"} <= allowed, net.prefix
        assert [name for kind, name in kinds if kind in "bBdDCgGsS"] == [], net.prefix
        for source in sources:
            text = (folder / source).read_text()
            assert _REAL_NUMBERS.search(source) or not re.search(r"\b(float|double)\b", text), source


# What mbn_rows.h leaves to the model.c that includes it.
TABLES = """
#ifdef MBN_ROWS_H
MBN_INLINE mbn_buffer mbn_buffer_of(int number) { static const mbn_buffer row[1]; return row[number]; }
MBN_INLINE mbn_read mbn_read_at(int index) { static const mbn_read row[1]; return row[index]; }
MBN_INLINE mbn_piece mbn_piece_at(int index) { static const mbn_piece row[1]; return row[index]; }
MBN_INLINE mbn_step mbn_step_of(int number) { static const mbn_step row[1]; return row[number]; }
#endif
"""


def test_every_file_stands_alone(tmp_path: Path) -> None:
    """Each header compiles first and twice."""
    write_c(tmp_path, [tiny_nets()["probable"]])
    for header in tmp_path.glob("*.h"):
        (tmp_path / "alone.c").write_text(
            f'#include "{header.name}"\n#include "{header.name}"\n{TABLES}extern int unused;\n'
        )
        compile_c(tmp_path, ["alone.c"], *STRICT, "-fsyntax-only")


# compiler, standard, what makes the header use that language's own word for alignment
ARENA_WORDS = {
    "attribute": ("gcc", "-std=c99", ()),
    "_Alignas": ("gcc", "-std=c11", ("-U__GNUC__",)),
    "alignas": ("g++", "-std=c++11", ("-U__GNUC__",)),
}


@pytest.mark.parametrize("compiler, standard, more", ARENA_WORDS.values(), ids=ARENA_WORDS)
def test_the_arena_type_is_aligned(
    tmp_path: Path, need_tool: Callable[[str], str], compiler: str, standard: str, more: tuple[str, ...]
) -> None:
    need_tool(compiler)
    write_c(tmp_path, [tiny_nets()["stream"]])
    language = "c++" if compiler == "g++" else "c"
    probe = (
        '#include "stream.h"\nstruct odd { char before; stream_arena_t arena; };\n'
        "typedef char is_aligned[sizeof(struct odd) == 16 + STREAM_ARENA_BYTES ? 1 : -1];\n"
        "typedef char has_no_more[sizeof(stream_arena_t) == STREAM_ARENA_BYTES ? 1 : -1];\n"
    )
    (tmp_path / "odd.c").write_text(probe)
    compile_c(tmp_path, ["-x", language, "odd.c"], "-fsyntax-only", *more, compiler=compiler, standard=standard)


HOSTILE = ("*/ int x; /*", "/* nested", "back\\\\", "line\nbreak", "??/", "q\"'", "\u00e4\u6f22", "%s", "", "a" * 300)


def test_names_in_a_model_cannot_break_its_c(tmp_path: Path) -> None:
    """Whatever a model calls its layers, tensors, outputs and labels."""
    graph = quantized(tiny_mobilenet_v2())
    names = {node.name: f"{HOSTILE[index % len(HOSTILE)]}{index}" for index, node in enumerate(graph.nodes)}
    graph = replace(
        graph,
        nodes=tuple(replace(node, name=names[node.name]) for node in graph.nodes),
        inputs=tuple(replace(port, outside=HOSTILE[0]) for port in graph.inputs),
        outputs=tuple(replace(port, outside=HOSTILE[2]) for port in graph.outputs),
    )
    for title in HOSTILE:
        files = Net("hostile", plan_with_cuts(graph, []), labels=HOSTILE, title=title).files()
        write_bundle(files, tmp_path)
        sources = [path for path in files if path.endswith(".c")]
        compile_c(tmp_path, sources, *STRICT, "-pedantic", "-fsyntax-only")


BAD_PREFIXES = ("", "9lives", "UPPER", "a-b", "x y", "\u00e4", "a" * 41, "int", "main", "mbn_x", "string", "math")


@pytest.mark.parametrize("name", BAD_PREFIXES)
def test_prefixes_that_c_would_not_take(name: str) -> None:
    with pytest.raises(UsageError, match="cannot prefix C functions"):
        check_prefix(name)


@pytest.mark.parametrize(
    ("stem", "prefix"),
    [
        ("MobileNet-V2 (1)", "mobilenet_v2_1"),
        ("", "model"),
        ("9", "model_9"),
        ("int", "model_int"),
        ("math", "model_math"),
        ("\u6f22", "model"),
    ],
)
def test_prefix_of_a_file_name(stem: str, prefix: str) -> None:
    assert check_prefix(prefix_of(stem)) == prefix


SCRIPT = """
import hashlib, sys
sys.path.insert(0, "tests/support")
from host_c import Net
from models import tiny_mobilenet_v2
from networks import plan_with_cuts, quantized
from mbn2c.frontend.export import to_onnx_int8
graph = quantized(tiny_mobilenet_v2())
files = Net("same", plan_with_cuts(graph, [True, False, False]), ("a", "b")).files()
for path in files:
    print(path, hashlib.sha256(files[path]).hexdigest())
print(hashlib.sha256(to_onnx_int8(graph)).hexdigest())
"""


def test_two_processes_write_the_same_bytes() -> None:
    written = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert written[0] == written[1]
    assert len(written[0].splitlines()) > 8
