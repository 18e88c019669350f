"""The functions of the generated C: misuse gets an error code, contexts do not disturb each other, edges are exact."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_c import STRICT, Context, Net, compile_c, expected_output, load, write_c
from models import Builder
from networks import int8_inputs, plan_with_cuts
from tiny_nets import LABELS, streamed, tiny_nets, with_tails

from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Activation
from mbn2c.kernels.call_bounds import call_bounds
from mbn2c.numerics import quantize_linear
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core
from mbn2c.tasks.classification import Classification
from mbn2c.tasks.classification.outputs import main_output
from mbn2c.tasks.inputs import USUAL, Preprocess, pixel_tables
from mbn2c.tasks.registry import task_of_graph
from mbn2c.tasks.tails import apply_tail

OK, E_ARGUMENT, E_ARENA, E_ORDER = 0, 1, 2, 3


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, dict[str, Net]]:
    """A library of all tiny networks."""
    return load(tmp_path_factory.mktemp("library"), list(tiny_nets().values()), *STRICT), tiny_nets()


def inputs_of(net: Net, count: int) -> list[np.ndarray]:
    return list(int8_inputs(net.plan.graph, count + 2, seed=5))[2:]


def reference_of(net: Net, values: np.ndarray) -> bytes:
    return expected_output(net.plan, run_graph(net.plan.graph, {"input": values}))


def pointer_to(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)


def test_init_wants_arena_and_alignment(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = nets
    context = Context(library, by_name["stream"])
    size = by_name["stream"].plan.arena_bytes
    table = [
        (context.arena, size, OK),
        (context.arena, size + 1, OK),
        (context.arena, size - 1, E_ARENA),
        (context.arena, 0, E_ARENA),
        (context.arena + 8, size, E_ARENA),
        (context.arena + 1, size, E_ARENA),
        (None, size, E_ARGUMENT),
    ]
    for arena, arena_bytes, expected in table:
        found = context.call("init", ctypes.c_void_p(arena), ctypes.c_size_t(arena_bytes))
        assert found == expected, (arena, arena_bytes)
    assert library.stream_init(None, ctypes.c_void_p(context.arena), ctypes.c_size_t(size)) == E_ARGUMENT


def test_rows_come_after_begin_and_before_finish(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = nets
    net = by_name["stream"]
    context = Context(library, net)
    (values,) = inputs_of(net, 1)
    height = values.shape[1]
    output = np.zeros(context.output_bytes, np.int8)
    rows, out = pointer_to(values), pointer_to(output)
    table = [
        ("push_rows", (rows, 1), E_ORDER),  # before begin
        ("finish", (out,), E_ORDER),
        ("begin", (), OK),
        ("finish", (out,), E_ORDER),  # early
        ("push_rows", (rows, height + 1), E_ORDER),  # too many
        ("push_rows", (None, 1), E_ARGUMENT),
        ("push_rows", (rows, -1), E_ARGUMENT),
        ("push_rows", (rows, 0), OK),
        ("push_rows", (rows, height), OK),
        ("push_rows", (rows, 1), E_ORDER),  # one more
        ("finish", (None,), E_ARGUMENT),
        ("finish", (out,), OK),
        ("finish", (out,), E_ORDER),  # twice
        ("push_rows", (rows, 1), E_ORDER),
        ("run", (None, out), E_ARGUMENT),
        ("run", (rows, None), E_ARGUMENT),
    ]
    for place, (function, arguments, expected) in enumerate(table):
        assert context.call(function, *arguments) == expected, f"call {place}: {function}"
        if place == 11:
            assert output.tobytes() == reference_of(net, values)
    for function in ("begin", "run", "finish", "push_rows", "observe"):
        arguments = {"run": (rows, out), "finish": (out,), "push_rows": (rows, 1), "observe": (None, None)}
        assert getattr(library, f"stream_{function}")(None, *arguments.get(function, ())) == E_ARGUMENT
    # After all that misuse the context still works.
    assert context.run(values) == reference_of(net, values)


def test_without_arena_nothing_runs(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, _ = nets
    empty = ctypes.create_string_buffer(8192)
    buffer = ctypes.create_string_buffer(4096)
    assert library.stream_begin(empty) == E_ORDER
    assert library.stream_run(empty, buffer, buffer) == E_ORDER


@pytest.mark.parametrize("prefix", ["layers", "stream", "pieces", "gray", "two"])
@pytest.mark.parametrize("counts", [[1] * 99, [2] * 99, [3, 1, 99], [0, 5, 0, 99]])
def test_rows_in_any_portions_are_a_frame(
    nets: tuple[ctypes.CDLL, dict[str, Net]], prefix: str, counts: list[int]
) -> None:
    library, by_name = nets
    context = Context(library, by_name[prefix])
    (values,) = inputs_of(context.net, 1)
    output = np.zeros(context.output_bytes, np.int8)
    assert context.call("begin") == OK
    row = 0
    for count in counts:
        some = np.ascontiguousarray(values[0, row : row + count])
        assert context.call("push_rows", pointer_to(some), len(some)) == OK
        row += len(some)
    assert context.call("finish", pointer_to(output)) == OK
    assert output.tobytes() == reference_of(context.net, values)


def test_contexts_side_by_side(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    """Rows of four inferences in turn, two of them of one network: nobody disturbs anybody."""
    library, by_name = nets
    contexts = [Context(library, by_name[prefix]) for prefix in ("stream", "stream", "layers", "pieces")]
    frames = [inputs_of(context.net, index + 1)[index] for index, context in enumerate(contexts)]
    for context in contexts:
        assert context.call("begin") == OK
    for row in range(max(frame.shape[1] for frame in frames)):
        for context, frame in zip(contexts, frames, strict=True):
            if row < frame.shape[1]:
                assert context.call("push_rows", pointer_to(np.ascontiguousarray(frame[0, row])), 1) == OK
    for context, frame in zip(contexts, frames, strict=True):
        output = np.zeros(context.output_bytes, np.int8)
        assert context.call("finish", pointer_to(output)) == OK
        assert output.tobytes() == reference_of(context.net, frame)


def test_an_inference_given_up_leaves_no_trace(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = nets
    context = Context(library, by_name["stream"])
    first, second = inputs_of(context.net, 2)
    assert context.call("begin") == OK
    assert context.call("push_rows", pointer_to(first), 7) == OK
    assert context.run(second) == reference_of(context.net, second)


def test_input_is_only_read_and_nothing_around_output_written(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = nets
    for prefix in ("layers", "stream", "pieces", "gray", "two"):
        context = Context(library, by_name[prefix])
        (values,) = inputs_of(context.net, 1)
        before = values.copy()
        around = np.full(context.output_bytes + 64, 77, np.int8)
        assert context.call("run", pointer_to(values), pointer_to(around[32:])) == OK
        assert np.array_equal(values, before)
        assert (around[:32] == 77).all() and (around[-32:] == 77).all()
        assert around[32:-32].tobytes() == reference_of(context.net, values)


def test_the_observer_sees_every_tensor(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = nets
    for prefix in ("layers", "stream", "two"):
        context = Context(library, by_name[prefix])
        context.observe()
        (values,) = inputs_of(context.net, 1)
        context.run(values)
        tensors = run_graph(context.net.plan.graph, {"input": values})
        for call in context.net.plan.calls:
            seen = b"".join(row for step, row in context.seen if step == call.step)
            assert seen == tensors[call.write].tobytes(), call.write
        assert context.call("observe", None, None) == OK
        context.seen.clear()
        context.run(values)
        assert context.seen == []


# --- in slices -----------------------------------------------------------------------------------

MORE = -1


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, dict[str, Net]]:
    """The same networks in slices of a run each, of a few, and of a whole inference."""
    found = {}
    for prefix in ("layers", "stream", "pieces", "two", "gray_pixels"):
        net = tiny_nets()[prefix]
        most = max(call_bounds(net.plan, net.planned.kernels))
        for name, slice_ in (("one", 1), ("few", 3 * most), ("all", 10**9)):
            found[f"{prefix}_{name}"] = replace(net, prefix=f"{prefix}_{name}", slice=slice_)
    return load(tmp_path_factory.mktemp("sliced"), list(found.values()), *STRICT), found


@pytest.mark.parametrize("name", ["one", "few", "all"])
@pytest.mark.parametrize("prefix", ["layers", "stream", "pieces", "two", "gray_pixels"])
def test_slices_make_the_same_bytes(sliced: tuple[ctypes.CDLL, dict[str, Net]], prefix: str, name: str) -> None:
    """Of every tensor; twice in one context; whole inferences and rows between them."""
    library, by_name = sliced
    context = Context(library, by_name[f"{prefix}_{name}"])
    context.observe()
    for values in inputs_of(context.net, 2):
        whole = context.run(values)
        seen, context.seen = sorted(context.seen), []
        output = np.zeros(context.output_bytes, np.int8)
        assert context.call("start", pointer_to(values)) == OK
        slices = 1
        while (state := context.call("step")) == MORE:
            assert context.call("finish", pointer_to(output)) == E_ORDER
            assert context.call("push_rows", pointer_to(values), 1) == E_ORDER
            slices += 1
        assert state == OK and context.call("step") == OK
        assert context.call("finish", pointer_to(output)) == OK
        assert output.tobytes() == whole and sorted(context.seen) == seen
        context.seen = []
        if name == "all":
            assert slices == 1
        elif name == "one":
            assert slices >= len(seen)
        else:
            assert 2 < slices < len(seen)


def test_slices_want_a_start(sliced: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = sliced
    context = Context(library, by_name["stream_few"])
    (values,) = inputs_of(context.net, 1)
    assert context.call("step") == E_ORDER
    assert context.call("begin") == OK and context.call("step") == E_ORDER
    assert context.call("start", None) == E_ARGUMENT and library.stream_few_step(None) == E_ARGUMENT
    assert context.call("start", pointer_to(values)) == OK and context.call("step") == MORE
    assert context.run(values) == expected_output(
        context.net.plan, run_graph(context.net.plan.graph, {"input": values})
    )


# --- what the edges promise ----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["pixels", "gray_pixels"])
def test_raw_pixels_go_through_the_tables(nets: tuple[ctypes.CDLL, dict[str, Net]], prefix: str) -> None:
    library, by_name = nets
    net = by_name[prefix]
    assert net.tables is not None
    shape = net.plan.graph.tensors["input"].shape
    pixels = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    channels = np.arange(shape[3])
    assert Context(library, net).run(pixels) == reference_of(net, net.tables[channels, pixels])


TAILED = ["probable", "log_probable", "log_of_two", "multi_label", "two_tails", "two_sigmoids", "two_vectors"]


@pytest.mark.parametrize("prefix", TAILED)
def test_what_a_model_ends_with(nets: tuple[ctypes.CDLL, dict[str, Net]], prefix: str) -> None:
    """As float64 computes it, also where a probability is too small for float32, of each output in its own place."""
    library, by_name = nets
    graph = by_name[prefix].plan.graph
    tensors = [graph.tensors[port.tensor] for port in graph.outputs]
    total, offset = sum(tensor.size_bytes for tensor in tensors), 0
    generator = np.random.default_rng(0)
    for number, (port, tensor) in enumerate(zip(graph.outputs, tensors, strict=True)):
        place, offset = slice(offset, offset + tensor.size_bytes), offset + tensor.size_bytes
        if not port.tail:
            continue
        assert tensor.quant is not None
        function = f"{prefix}_{port.tail.removeprefix('log_')}{number if len(tensors) > 1 else ''}"
        for output in [*generator.integers(-128, 128, (20, total)), np.resize([-128, 127], total)]:
            found = np.zeros(tensor.size_bytes, np.float32)
            getattr(library, function)(pointer_to(output.astype(np.int8)), pointer_to(found))
            real = (output[place] - tensor.quant.zero_point) * float(tensor.quant.scale[0])
            logarithms = real - real.max() - np.log(np.exp(real - real.max()).sum())
            expected = {
                "softmax": np.exp(logarithms),
                "log_softmax": logarithms,
                "sigmoid": 1 / (1 + np.exp(-real)),
                "tanh": np.tanh(real),
                "l2_normalize": real / np.sqrt((real**2).sum()),
            }
            assert np.allclose(found, expected[port.tail], rtol=1e-5, atol=1e-6), (function, port.tail)
            assert np.allclose(expected[port.tail], apply_tail(port.tail, real), rtol=1e-9), port.tail


@pytest.mark.parametrize("prefix", ["stream", "probable", "two", "gray"])
def test_the_class_and_its_probability(nets: tuple[ctypes.CDLL, dict[str, Net]], prefix: str) -> None:
    """Of several greatest scores the first; of several outputs the one that says a class; softmax with or without a
    Softmax in the file."""
    library, by_name = nets
    graph = by_name[prefix].plan.graph
    task = task_of_graph(graph, {})
    assert isinstance(task, Classification)
    sizes = [graph.tensors[port.tensor].size_bytes for port in graph.outputs]
    main = main_output(task.outputs)
    place = slice(sum(sizes[:main]), sum(sizes[: main + 1]))
    quant = graph.tensors[graph.outputs[main].tensor].quant
    assert quant is not None
    for output in np.random.default_rng(1).integers(-2, 3, (40, sum(sizes))).astype(np.int8):
        assert getattr(library, f"{prefix}_top1")(pointer_to(output)) == output[place].argmax()
        found = np.zeros(sizes[main], np.float32)
        function = f"{prefix}_softmax{main if len(sizes) > 1 else ''}"
        getattr(library, function)(pointer_to(output), pointer_to(found))
        real = (output[place].astype(int) - quant.zero_point) * float(quant.scale[0])
        assert np.allclose(found, apply_tail("softmax", real), rtol=1e-5)


def test_a_single_score_says_yes_above_zero(tmp_path: Path) -> None:
    builder = Builder((1, 1, 1))
    graph = builder.graph(builder.clamp("input", Activation(-1000.0, 1000.0)))
    net = Net(
        "door",
        streamed(with_tails(quantize(graph, {name: Range(-3.0, 5.0) for name in ("input", "clamp_0")}), "sigmoid")),
    )
    library, quant = load(tmp_path, [net]), net.plan.graph.tensors["clamp_0"].quant
    assert quant is not None
    codes = np.arange(-128, 128, dtype=np.int8)
    said = [library.door_top1(pointer_to(codes[at : at + 1])) for at in range(256)]
    assert said == [int(code > quant.zero_point) for code in codes.tolist()] and 0 < sum(said) < 256


def test_a_row_of_real_numbers(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    """As the host quantizes them: halves to even, what is beyond the range, and infinities."""
    library, by_name = nets
    graph = by_name["stream"].plan.graph
    tensor = graph.tensors["input"]
    assert tensor.quant is not None
    count, scale = tensor.shape[2] * tensor.shape[3], np.float32(tensor.quant.scale[0])
    halves = (np.arange(-300, 300, dtype=np.float32) / 2 * scale).astype(np.float32)
    nearly = [np.nextafter(halves, np.float32(side * 9e9)) for side in (-1, 1)]
    rest = np.array([np.inf, -np.inf, 3e38, -3e38, 0.0, -0.0])
    values = np.concatenate([halves, *nearly, np.random.default_rng(2).normal(0, 100 * scale, 999), rest])
    values = values.astype(np.float32)
    for start in range(0, len(values), count):
        real = np.resize(values[start : start + count], count)
        row = np.zeros(count, np.int8)
        library.stream_quantize_row(pointer_to(real), pointer_to(row))
        assert np.array_equal(row, quantize_linear(real, scale, tensor.quant.zero_point))


@pytest.mark.parametrize("preprocess", [USUAL["imagenet"], USUAL["pm1"]])
def test_a_row_of_bytes(tmp_path: Path, preprocess: Preprocess) -> None:
    """Every byte of every channel; where all channels are alike there is one table."""
    net = replace(tiny_nets()["stream"], preprocess=preprocess)
    graph = net.plan.graph
    _, _, width, channels = graph.tensors["input"].shape
    library, tables = load(tmp_path, [net], *STRICT), pixel_tables(graph, preprocess)
    words = (tmp_path / "stream.h").read_text()
    assert "red, green, blue" in words and "(byte / 255 - " in words
    pixels = np.random.default_rng(0).integers(0, 256, (200, width, channels)).astype(np.uint8)
    assert all(len(set(pixels[..., channel].ravel().tolist())) == 256 for channel in range(channels))
    for row in pixels:
        found = np.zeros(row.shape, np.int8)
        library.stream_quantize_row(pointer_to(np.ascontiguousarray(row)), pointer_to(found))
        assert np.array_equal(found, tables[np.arange(channels), row])


_WITH_ARENA = """
#include "stream.h"
static stream_t net;
static STREAM_ARENA(arena);
int main(void) { return stream_init(&net, &arena, sizeof arena); }
"""


@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "-std=c99"), ("g++", "-std=c++11")])
def test_the_arena_is_aligned_by_its_type(tmp_path: Path, compiler: str, standard: str) -> None:
    sources = write_c(tmp_path, [tiny_nets()["stream"]])
    (tmp_path / "main.c").write_text(_WITH_ARENA)
    compile_c(tmp_path, ["main.c", *sources], *STRICT[:2], "-o", "program", compiler=compiler, standard=standard)
    assert subprocess.run([tmp_path / "program"]).returncode == 0


def test_another_core_is_refused(tmp_path: Path) -> None:
    """The C of a Cortex-M4, given to this computer's compiler and to that of a Cortex-M0+."""
    graph = tiny_nets()["stream"].plan.graph
    write_c(tmp_path, [Net("stream", plan_with_cuts(graph, []), isas=("arm_dsp", "armv7m", "scalar"))], twins=False)
    compilers = {"cortex-m0plus": False, "cortex-m3": False, "cortex-m4": True, "cortex-m33": True, "cortex-m55": True}
    commands = {(load_core(core).prefix + "gcc", *load_core(core).cflags): fits for core, fits in compilers.items()}
    for command, fits in {("gcc",): False, **commands}.items():
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run([*command, "-fsyntax-only", "stream.h"], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode == 0) == fits, (command, done.stderr)
        assert fits or "stream is built for Arm cores with the DSP extension" in done.stderr


def test_a_vector_of_zeros_has_no_direction(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, by_name = nets
    port = by_name["two_vectors"].plan.graph.outputs[0]
    tensor = by_name["two_vectors"].plan.graph.tensors[port.tensor]
    assert port.tail == "l2_normalize" and tensor.quant is not None
    found = np.ones(tensor.size_bytes, np.float32)
    codes = np.full(tensor.size_bytes, tensor.quant.zero_point, np.int8)
    library.two_vectors_l2_normalize0(pointer_to(codes), pointer_to(found))
    assert not found.any() and not apply_tail("l2_normalize", found * 0).any()


def test_log_softmax_of_confident_logits(tmp_path: Path) -> None:
    """exp(-150) is 0 in float32; its logarithm is -150 all the same."""
    graph = quantize(builder_of_logits(), {"input": Range(-100.0, 100.0), "clamp_0": Range(-100.0, 100.0)})
    net = Net("confident", streamed(with_tails(graph, "log_softmax")))
    found = np.zeros(3, np.float32)
    load(tmp_path, [net]).confident_softmax(pointer_to(np.array([127, -128, 0], np.int8)), pointer_to(found))
    scale = 200 / 255
    assert np.allclose(found, [0, -255 * scale, -127 * scale], rtol=1e-5)


def builder_of_logits() -> Graph:
    builder = Builder((1, 1, 3))
    return builder.graph(builder.clamp("input", Activation(-1000.0, 1000.0)))


def test_labels(nets: tuple[ctypes.CDLL, dict[str, Net]]) -> None:
    library, _ = nets
    found = (ctypes.c_char_p * len(LABELS)).in_dll(library, "probable_labels")
    assert tuple(label.decode() for label in found) == LABELS
