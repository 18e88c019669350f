"""Rows of a camera on the device are the host's function, byte by byte; what that function is, in a few laws."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from host_c import SANITIZE, STRICT, Context, Net, compile_c, load
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Builder
from networks import quantized
from pictures import NHWC
from PIL import Image
from tiny_nets import streamed, tiny_nets

from mbn2c.errors import UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.ir.window import Activation
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.camera import FILTERS, FORMATS, Camera
from mbn2c.tasks.images import RESIZES, load_image
from mbn2c.tasks.inputs import InputSpec

OK, E_ARGUMENT, E_ORDER = 0, 1, 3


@dataclass(frozen=True)
class Case:
    """A camera, and the input that its rows are for: height, width, channels."""

    camera: Camera
    shape: tuple[int, int, int]
    resize: str


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Downscaling mostly, but any sizes."""
    kind = draw(st.sampled_from(sorted(FORMATS)))
    height, width = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    camera = Camera(kind, height, width + width % 2 * (kind == "yuv422"), draw(st.sampled_from(FILTERS)))
    shape = (draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.sampled_from([1, 3])))
    return Case(camera, shape, draw(st.sampled_from(RESIZES)))


# The camera's C alone: what it would push is kept.
_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "{name}.h"

int {name}_begin({name}_t *net) {{ net->next_row = 1; return 0; }}
int {name}_push_rows({name}_t *net, const {name}_input_t *rows, int count)
{{
    net->next_row += count;
    return fwrite(rows, {NAME}_INPUT_ROW_BYTES, (size_t)count, stdout) == (size_t)count ? 0 : 9;
}}

void run_{name}(FILE *in);
void run_{name}(FILE *in)
{{
    uint8_t *row = (uint8_t *)malloc({NAME}_CAMERA_ROW_BYTES);
    {name}_camera_t *camera = ({name}_camera_t *)malloc(sizeof *camera);
    static {name}_t net;
    if ({name}_begin_camera(&net, camera) != 0) exit(2);
    for (int y = 0; y < {NAME}_CAMERA_ROWS; y++) {{
        if (fread(row, 1, {NAME}_CAMERA_ROW_BYTES, in) != {NAME}_CAMERA_ROW_BYTES) exit(3);
        if ({name}_push_camera_row(&net, camera, row) != 0) exit(4);
    }}
    if (net.next_row != 1 + {NAME}_INPUT_ROWS) exit(5);
    if ({name}_push_camera_row(&net, camera, row) != {NAME}_E_ORDER) exit(6);
    free(row);
    free(camera);
}}
"""


def net_of(name: str, case: Case) -> Net:
    """A network of one step, whose input takes the camera's pixels."""
    builder = Builder(case.shape)
    graph = quantized(builder.graph(builder.clamp("input", Activation(-1.0, 1.0))))
    tables = np.tile(np.arange(-128, 128), (case.shape[2], 1)).astype(np.int8)
    return Net(name, streamed(graph), tables=tables, camera=case.camera, resize=case.resize)


def check_equal(folder: Path, chosen: list[Case], frames: list[np.ndarray]) -> None:
    """The device's rows of each camera's frame, under sanitizers, are the host's."""
    folder.mkdir(exist_ok=True)
    sources = []
    for number, case in enumerate(chosen):
        name = f"c{number}"
        write_bundle(net_of(name, case).files(), folder)
        (folder / f"drive_{name}.c").write_text(_DRIVER.format(name=name, NAME=name.upper()))
        sources += [f"{name}_camera.c", f"drive_{name}.c"]
    names = [f"run_c{number}" for number in range(len(chosen))]
    declared, calls = ("".join(text.format(name) for name in names) for text in ("void {}(FILE *in);\n", "{}(stdin); "))
    (folder / "main.c").write_text(f"#include <stdio.h>\n{declared}int main(void) {{ {calls} return 0; }}\n")
    compile_c(folder, ["main.c", *sources], *SANITIZE, "-o", "program", standard="-std=gnu11")
    done = subprocess.run([folder / "program"], input=b"".join(f.tobytes() for f in frames), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    found, at = np.frombuffer(done.stdout, np.uint8), 0
    for case, frame in zip(chosen, frames, strict=True):
        expected = case.camera.pixels(frame, case.shape, case.resize)
        part = found[at : at + expected.size].reshape(expected.shape)
        at += expected.size
        assert np.array_equal(part, expected), (case, np.argwhere(part != expected)[:3])
    assert at == len(found)


def noise_of(case: Case, seed: int) -> np.ndarray:
    """A frame of any bytes, many of them at the ends."""
    generator = np.random.default_rng(seed)
    frame = generator.integers(0, 256, (case.camera.height, case.camera.row_bytes)).astype(np.uint8)
    ends = generator.choice(np.array([0, 255], np.uint8), frame.shape)
    return np.where(generator.random(frame.shape) < 0.3, ends, frame).astype(np.uint8)


USUAL = [
    Case(Camera("rgb565", 60, 80), (24, 24, 3), "crop"),
    Case(Camera("rgb565be", 60, 80), (24, 24, 1), "crop"),
    Case(Camera("gray", 60, 80), (24, 24, 1), "stretch"),
    Case(Camera("gray", 60, 80), (24, 24, 3), "crop"),
    Case(Camera("yuv422", 60, 80), (24, 24, 3), "crop"),
    Case(Camera("yuv422", 60, 80), (24, 24, 1), "stretch"),
    Case(Camera("rgb565", 24, 24), (24, 24, 3), "crop"),  # nothing to scale
    Case(Camera("rgb565", 20, 20), (24, 30, 3), "stretch"),  # up
    Case(Camera("yuv422", 35, 40, "nearest"), (24, 24, 3), "crop"),
]


@settings(max_examples=1, derandomize=True, deadline=None)
@given(st.lists(cases(), min_size=12, max_size=12), st.integers(0, 1000))
def test_rows_on_the_device(tmp_path_factory: pytest.TempPathFactory, drawn: list[Case], seed: int) -> None:
    chosen = [*USUAL, *drawn]
    check_equal(tmp_path_factory.mktemp("camera"), chosen, [noise_of(case, seed) for case in chosen])


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(cases(), min_size=20, max_size=20), st.integers(0, 2**32))
def test_rows_of_any_camera(tmp_path_factory: pytest.TempPathFactory, drawn: list[Case], seed: int) -> None:
    check_equal(tmp_path_factory.mktemp("camera"), drawn, [noise_of(case, seed) for case in drawn])


def test_through_a_network(tmp_path: Path) -> None:
    """All rows of a frame -> the scores of the pixels that the host makes of it; misuse gets its code."""
    pixels = tiny_nets()["pixels"]
    height, width, channels = pixels.plan.graph.tensors["input"].shape[1:]
    camera = Camera("rgb565", 2 * height + 3, 3 * width)
    net = Net("pixels", pixels.plan, tables=pixels.tables, camera=camera)
    context = Context(load(tmp_path, [net], *STRICT), net)
    place, output = ctypes.create_string_buffer(8192), ctypes.create_string_buffer(context.output_bytes)
    frame = noise_of(Case(camera, (height, width, channels), "crop"), 3)
    assert context.call("push_camera_row", place, frame[0].tobytes()) == E_ORDER  # no begin
    assert context.call("begin_camera", None) == E_ARGUMENT
    assert context.call("begin_camera", place) == OK
    assert context.call("push_camera_row", place, None) == E_ARGUMENT
    for row in frame:
        assert context.call("push_camera_row", place, row.tobytes()) == OK
    assert context.call("push_camera_row", place, frame[0].tobytes()) == E_ORDER  # one more
    assert context.call("finish", output) == OK
    assert net.tables is not None
    seen = camera.pixels(frame, (height, width, channels), "crop")
    values = net.tables[np.arange(channels), seen][None]
    graph = net.plan.graph
    assert output.raw == run_graph(graph, {"input": values})[graph.outputs[0].tensor].tobytes()


# --- the function itself -------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([0, 255]))
def test_black_and_white_stay(case: Case, level: int) -> None:
    frame = case.camera.encode(np.full((case.camera.height, case.camera.width, 3), level, np.uint8))
    assert (case.camera.pixels(frame, case.shape, case.resize) == level).all()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_places_lie_in_the_window_and_grow(case: Case) -> None:
    top, left, rows, columns = case.camera.window(*case.shape[:2], case.resize)
    assert top >= 0 and top + rows <= case.camera.height and left >= 0 and left + columns <= case.camera.width
    for places, first, extent in zip(
        case.camera.tables(*case.shape[:2], case.resize), (top, left), (rows, columns), strict=True
    ):
        assert (np.diff(places.astype(int)) >= 0).all()
        assert first * 64 <= places[0] or places[0] == first * 64 - 32  # the column before, none of it
        assert places[-1] <= (first + extent - 1) * 64


def test_a_frame_of_the_inputs_size_is_taken_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 10, 1)).astype(np.uint8)
    for filter_ in FILTERS:
        camera = Camera("gray", 7, 10, filter_)
        assert np.array_equal(camera.pixels(pixels[..., 0], (7, 10, 1), "crop"), pixels)


@pytest.mark.parametrize(("kind", "most"), [("rgb565", 9), ("rgb565be", 9), ("yuv422", 6), ("gray", 0)])
def test_colours_survive(kind: str, most: int) -> None:
    """Smooth pictures come back within the steps of the format; in gray, as gray."""
    y, x = np.mgrid[0:32, 0:32]
    rgb = np.stack((8 * y, 8 * x, 255 - 4 * (x + y)), axis=2).astype(np.uint8)
    camera = Camera(kind, 32, 32)
    found = camera.pixels(camera.encode(rgb), (32, 32, 3), "crop").astype(int)
    expected = rgb.astype(int) if kind != "gray" else np.repeat((rgb @ [77, 150, 29] + 128 >> 8)[..., None], 3, axis=2)
    assert np.abs(found - expected).max() <= most


def test_files_are_read_through_the_camera(tmp_path: Path) -> None:
    """A file of the frame's size is the frame; another is brought to what the network sees, as --resize says."""
    camera = Camera("rgb565", 30, 40)
    spec = InputSpec((1, 12, 12, 3), NHWC, camera)
    rgb = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    for pixels in (rgb, np.asarray(Image.fromarray(rgb).resize((77, 60)))):
        Image.fromarray(pixels).save(tmp_path / "a.png")
        for resize in RESIZES:
            frame = rgb
            if pixels is not rgb:
                top, left, rows, columns = camera.window(12, 12, resize)
                whole = InputSpec((1, rows, columns, 3), NHWC)
                frame = np.zeros_like(rgb)
                frame[top : top + rows, left : left + columns] = load_image(tmp_path / "a.png", whole, resize)[0]
            expected = camera.pixels(camera.encode(frame), (12, 12, 3), resize)
            assert np.array_equal(load_image(tmp_path / "a.png", spec, resize)[0], expected[None])


@pytest.mark.parametrize("text", ["", "rgb565", "rgb:3x4", "rgb565:0x3", "gray:1025x3", "yuv422:3x4", "gray:3x4:cubic"])
def test_no_camera(text: str) -> None:
    with pytest.raises(UsageError):
        Camera.parse(text)


@pytest.mark.parametrize("text", ["rgb565:320x240", "yuv422:160x120:nearest"])
def test_as_the_command_line_says_it(text: str) -> None:
    assert str(Camera.parse(text)) == text
