"""firmware_examples/: the commands of each README, followed with the bundled model, and what the programs then do."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from models import tiny_mobilenet_v1, tiny_mobilenet_v2
from networks import quantized
from onnx_models.detectors import ssd
from places import ROOT
from records import record_of
from shared import shared
from users_pytest import run_pytest

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder, staged
from mbn2c.commands.verify.one_image import open_models
from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names, PlannedNetwork
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.ir.graph import Graph
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.network.file import graph_to_bytes
from mbn2c.network.network import Network
from mbn2c.network.options import NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.ops.ssd_boxes.arithmetic import boxes_from_bytes
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.progress import Progress
from mbn2c.quantize.int16 import PlanOf
from mbn2c.reference.run_graph import run_graph
from mbn2c.report.json import to_json
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.images import load_image, open_samples
from mbn2c.tasks.inputs import InputSpec

EXAMPLES = ROOT / "firmware_examples"
DIGITS = {
    "vww_96.onnx": str(demo.MODEL_FILE),
    "digits.onnx": str(demo.MODEL_FILE),
    "model.onnx": str(demo.MODEL_FILE),
    "images/": str(demo.CALIBRATION_FOLDER),
    "digits/": str(demo.CALIBRATION_FOLDER),
    "labels.csv": str(demo.CLASS_NAMES_FILE),
    "unit": demo.PREPROCESS,
    "imagenet": demo.PREPROCESS,
}
ONE, OTHER = 1, 0  # class that switches the LED on or wakes the second network, and one that does not


_networks: dict[Any, Any] = {}


def quantized_once(
    options: NetworkOptions, labels: Sequence[str], progress: Progress, plan_of: PlanOf | None = None
) -> Network:
    """`read_network`, but the examples share what comes of the same images."""
    key = (options.model, options.calib, options.preprocess, options.input_kind)
    if key not in _networks:
        _networks[key] = read_network(options, labels, progress, plan_of)
    return cast(Network, _networks[key])


_choices: dict[Any, Choice] = {}


def chosen_once(graph: Graph, *how: Any, sections: Mapping[str, str]) -> Choice:
    """`choose_plan`, but what was planned for one command is there for the next."""
    key = (graph_to_bytes(graph), *how, *sections.items())
    if key not in _choices:
        _choices[key] = choose_plan(graph, *how, sections=sections)
    return _choices[key]


def follow(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, str]) -> None:
    """Do what the README of an example says, up to the program's start."""
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("mbn2c.commands.build.read_network", quantized_once)
    for module in ("build", "output_folder.reading"):
        monkeypatch.setattr(f"mbn2c.commands.{module}.choose_plan", chosen_once)
    block = re.search(r"```sh\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert block is not None
    for line in block.group(1).splitlines():
        command = [words.get(word, word) for word in shlex.split(line)]
        if command[0] == "mbn2c":
            assert main([*command[1:], "--quantize", "fast"]) == 0
        elif command[0] in ("make", "aarch64-linux-gnu-gcc", "gcc"):
            if shutil.which(command[0]) is None:
                pytest.skip(f"{command[0]} is not installed")
            strict = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"] if command[0] != "make" else []
            done = subprocess.run([*command, *strict], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def image(output: OutputFolder, position: int, folder: Path = demo.TEST_FOLDER) -> tuple[bytes, np.ndarray]:
    """Pixels of a test image as the device takes them, and the int8 scores it must make of them."""
    models = open_models(output, {})
    samples = open_samples(folder, models.spec, resize=output.report["build"]["resize"])
    sample = samples[position]
    frame, quantized = models.frame(sample, sample.model_input(models.spec, models.preprocess))
    graph = output.graph
    return frame, run_graph(graph, {graph.inputs[0].tensor: quantized})[graph.outputs[0].tensor].reshape(-1)


def image_of_class(output: OutputFolder, wanted: int) -> bytes:
    """The first test image that the network gives this class."""
    return next(frame for frame, scores in (image(output, at) for at in range(40)) if scores.argmax() == wanted)


@contextmanager
def running(elf: Path, *more: str) -> Iterator[EmulatedBoard]:
    board = load_board("qemu-mps2-an500")
    assert board.emulator is not None
    with EmulatedBoard(
        replace(board, emulator=replace(board.emulator, args=(*board.emulator.args, *more))), elf
    ) as line:
        yield line


def answer(line: EmulatedBoard, frame: bytes, lines: int = 1) -> str:
    """What the program prints for a picture."""
    line.write(frame)
    text = b""
    while text.count(b"\n") < lines:
        data = line.read(60.0)
        assert data, "no answer"
        text += data
    return text.decode()


def test_blinky_vww(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("blinky-vww", tmp_path, monkeypatch, DIGITS)
    output = OutputFolder(tmp_path / "out")
    with running(output.path / "blinky" / "person.elf", "-trace", "led_set_intensity") as line:
        for wanted in (ONE, OTHER):
            expected = "LED on" if wanted == ONE else "LED off"
            assert answer(line, image_of_class(output, wanted)).startswith(expected)
        lights = re.findall(r"'USERLED0'.*intensity: (\d+)%", line.said())
    assert lights[-2:] == ["100", "0"]


def test_camera_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("camera-rows", tmp_path, monkeypatch, DIGITS)
    output = OutputFolder(tmp_path / "out")
    with running(output.path / "camera" / "person.elf") as line:
        for position in range(3):
            frame, scores = image(output, position)
            assert [int(word) for word in answer(line, frame).split()] == scores.tolist()


def test_camera_rgb565(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames with a digit in their middle; verify reads image files through the same camera."""
    follow("camera-rgb565", tmp_path, monkeypatch, DIGITS)
    output = OutputFolder(tmp_path / "out")
    assert output.report["build"]["camera"] == "rgb565:160x120" and output.report["build"]["input"] == "uint8"
    camera, middle = Camera.parse(output.report["build"]["camera"]), InputSpec((1, 120, 120, 1), (0, 1, 2, 3))
    with running(output.path / "camera" / "person.elf") as line:
        for position in range(3):
            digit = load_image(sorted(demo.TEST_FOLDER.iterdir())[position], middle, "crop")[0]
            frame = np.zeros((120, 160, 3), np.uint8)
            frame[:, 20:140] = digit[0]
            _, scores = image(output, position)
            assert answer(line, camera.encode(frame).tobytes()) == f"{scores.argmax():02}\n"
    words = ["--board", "qemu-mps2-an500", "--images", str(demo.TEST_FOLDER), "--limit", "2", "--no-stress"]
    assert main(["verify", str(output.path), *words]) == 0


def test_detection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A small detector with random weights; then verify on the emulated board, whose boxes are the reference's."""
    onnx.save(ssd().model(), tmp_path / "ssd.onnx")
    follow("detection", tmp_path, monkeypatch, {"images/": str(demo.CALIBRATION_FOLDER)})
    output = OutputFolder(tmp_path / "out")
    printed = 0
    with running(output.path / "detection" / "person.elf") as line:
        for position in range(3):
            frame, found = image(output, position)
            boxes = [
                (*(corner // 16 for corner in one.corners), one.label, one.score * 100 // 32768)
                for one in boxes_from_bytes(found)
            ][:16]
            said = answer(line, frame, len(boxes) + 1).splitlines()
            assert [tuple(map(int, one.split())) for one in said[:-1]] == boxes and said[-1] == ""
            printed += len(boxes)
    assert printed > 3, "nothing was found, so nothing was compared"
    capsys.readouterr()
    words = ["--board", "qemu-mps2-an500", "--images", str(demo.TEST_FOLDER), "--limit", "3", "--json"]
    assert main(["verify", str(output.path), *words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["device_vs_reference_mismatches"], result["reference_vs_ort_int8_mismatches"]) == (0, 0)
    assert result["detections_compared"] > 3 and result["instructions_per_inference"] > 0


def test_segmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled segmenter: what is printed are the rows of the reference's map."""
    files = {"shapes.onnx": str(demo.SHAPES.model), "images/": str(demo.SHAPES.calibration)}
    follow("segmentation", tmp_path, monkeypatch, files)
    output = OutputFolder(tmp_path / "out")
    seen = set()
    with running(output.path / "segmentation" / "shapes.elf") as line:
        for position in (2, 8):
            frame, classes = image(output, position, demo.SHAPES.images)
            rows = classes.reshape(64, 64)[::2]
            lines = ["".join(".123"[number] for number in row) for row in rows]
            assert answer(line, frame, len(lines) + 1).splitlines() == [*lines, ""]
            seen |= {*classes.tolist()}
    assert len(seen) > 2, "nothing but background was found"


def test_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("two-models", tmp_path, monkeypatch, DIGITS)
    wake, detail = OutputFolder(tmp_path / "out-wake"), OutputFolder(tmp_path / "out")
    with running(detail.path / "two" / "detail.elf") as line:
        assert answer(line, image_of_class(wake, OTHER)) == f"wake {OTHER:03}\n"
        assert answer(line, image_of_class(wake, ONE)) == f"wake {ONE:03}\n"
        for position in range(2):  # the first picture is what the woken network looks at
            frame, scores = image(detail, position)
            assert answer(line, frame) == f"detail {scores.argmax():03}\n"
            assert answer(line, image_of_class(wake, ONE)) == f"wake {ONE:03}\n"


def test_linux_sbc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("linux-sbc", tmp_path, monkeypatch, DIGITS)
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed")
    output = OutputFolder(tmp_path / "out")
    frame, scores = image(output, 5)
    height, width = output.graph.tensors[output.graph.inputs[0].tensor].shape[1:3]
    bigger = np.frombuffer(frame, np.uint8).reshape(height, width).repeat(3, 0).repeat(3, 1)
    bigger = np.pad(bigger, ((0, 0), (10, 10)))  # the middle is cut out
    files = {"same.pgm": (width, height, frame), "bigger.pgm": (*bigger.shape[::-1], bigger.tobytes())}
    for name, (columns, rows, pixels) in files.items():
        (tmp_path / name).write_bytes(b"P5\n# by hand\n%d %d\n255\n" % (columns, rows) + pixels)
        done = subprocess.run([emulator, "./classify", name], capture_output=True, text=True, check=True)
        classes = [line.split()[0] for line in done.stdout.splitlines()]
        labels = demo.CLASS_NAMES_FILE.read_text().split()
        assert classes[0] == labels[int(scores.argmax())] and len(set(classes)) == 5
    (tmp_path / "frames.raw").write_bytes(2 * bigger.tobytes())
    size = [str(extent) for extent in bigger.shape[::-1]]
    done = subprocess.run([emulator, "./classify", *size, "frames.raw"], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [words[0] for words in lines] == 2 * [labels[int(scores.argmax())]]
    assert all(float(words[1]) >= 0 and words[2] == "ms" for words in lines)
    (tmp_path / "broken.ppm").write_bytes(b"P6\n4 4\n255\n")
    for name, words in {"broken.ppm": "not a PGM file", "missing.pgm": "cannot open"}.items():
        done = subprocess.run([emulator, "./classify", name], capture_output=True, text=True)
        assert done.returncode == 1 and words in done.stderr


def test_model_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken-off update leaves the network of before, a whole one is the new one; both are the reference's."""
    follow("model-updates", tmp_path, monkeypatch, DIGITS)

    def said(*words: str) -> str:
        return subprocess.run(["./updates", *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    graph = OutputFolder(tmp_path / "out").graph
    source = graph.inputs[0].tensor
    values = run_graph(graph, {source: np.zeros(graph.tensors[source].shape, np.int8)})[graph.outputs[0].tensor]
    numbers = " ".join(str(value) for value in values.reshape(-1))
    one, other = "out/blob/network.blob", "out-next/blob/network.blob"
    assert said("update", one) == "slot 0: whole\n"
    for broken_off in ("0", "19", "96", "1000", str((tmp_path / other).stat().st_size - 1)):
        assert said("update", other, broken_off) == "slot 1: not whole\n"
        assert said("run") == f"slot 0, version 1.0.0: {numbers}\n"
    assert said("update", other) == "slot 1: whole\n"
    assert said("run") == f"slot 1, version 1.1.0: {numbers}\n"
    assert said("update", one, "500") == "slot 0: not whole\n"
    assert said("run").startswith("slot 1")


def test_accuracy_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow("accuracy-test", tmp_path, monkeypatch, DIGITS)
    (tmp_path / "images").mkdir()
    for file in sorted(demo.TEST_FOLDER.iterdir())[:12]:
        shutil.copy(file, tmp_path / "images")
    shutil.copy(demo.TEST_LABELS, tmp_path / "labels.csv")
    done = run_pytest(tmp_path, "--mbn2c-out", "out")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def planned(name: str, graph: Graph) -> PlannedNetwork:
    choice = choose_plan(quantized(graph), load_core("cortex-m7"), "speed")
    return PlannedNetwork(choice.plan, choice.kernels, Names(name, "tiny.onnx", bytes(32)))


def linked(folder: Path, *libraries: str) -> str:
    """What the linker complains about when one program uses both networks."""
    (folder / "main.c").write_text(
        "int wake_begin(void *);\nint detail_begin(void *);\nint main(void)\n"
        "{\n    return wake_begin(0) + detail_begin(0);\n}\n"
    )
    core = load_core("cortex-m7")
    command = [f"{core.prefix}gcc", *core.cflags, "--specs=nosys.specs", "-Wl,--gc-sections", "main.c", *libraries]
    return subprocess.run([*command, "-o", "program"], cwd=folder, capture_output=True, text=True).stderr


def test_libraries_built_apart_may_share_kernels(tmp_path: Path) -> None:
    """Two networks that call other functions of one core: whichever copy the linker takes, it is the same."""
    core = load_core("cortex-m7")
    wake, detail = planned("wake", tiny_mobilenet_v1()), planned("detail", tiny_mobilenet_v2(40, 40))
    for folder, one, beside in (("apart", wake, ()), ("apart2", detail, ()), ("both", detail, (wake,))):
        choice = Choice(one.plan, one.kernels)
        write_bundle(c_files(choice.plan, choice.kernels, one.names, core, None, beside=beside), tmp_path / folder)
        toolchain.build(tmp_path / folder, one.names.prefix, core)
    assert "error" not in linked(tmp_path, "apart/build/libwake.a", "apart2/build/libdetail.a")
    assert "error" not in linked(tmp_path, "both/build/libdetail.a")
    copies = [{path.name: path.read_bytes() for path in (tmp_path / x).glob("mbn_*")} for x in ("apart", "apart2")]
    shared = set(copies[0]) & set(copies[1])
    assert "mbn_conv_core_arm_dsp.c" in shared and all(copies[0][name] == copies[1][name] for name in shared)
    tables = [(tmp_path / path).read_text() for path in ("apart/wake_constants.c", "apart2/detail_constants.c")]
    assert tables[0].split("wake_conv_parts_arm_dsp")[1] != tables[1].split("detail_conv_parts_arm_dsp")[1]


def test_two_networks_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with staged(tmp_path / "first") as stage:
        choice = choose_plan(quantized(tiny_mobilenet_v1()), load_core("cortex-m0plus"), "ram")
        record = replace(record_of(choice, "cortex-m0plus", "ram"), prefix="person")
        (stage / "report.json").write_text(to_json(record))
    words = ["build", str(demo.MODEL_FILE), "--target", "cortex-m0plus", "--calib", "random", "--name", "person"]
    assert main([*words, "--beside", str(tmp_path / "first"), "-o", str(tmp_path / "second")]) == 2
    assert "two networks are called 'person'" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["blinky-vww", "camera-rows"])
def test_with_the_real_network(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visual wake words: the program prints what the reference computes."""
    real = {"vww_96.onnx": str(shared("models/vww_96.onnx")), "images/": str(shared("data/vww_96"))}
    follow(name, tmp_path, monkeypatch, real)
    output = OutputFolder(tmp_path / "out")
    models = open_models(output, {})
    samples = open_samples(shared("data/vww_96"), models.spec, resize="stretch", limit=4)
    program = {"blinky-vww": "blinky", "camera-rows": "camera"}[name]
    with running(output.path / program / "person.elf") as line:
        for sample in samples:
            frame, quantized = models.frame(sample, sample.model_input(models.spec, models.preprocess))
            graph = output.graph
            scores = run_graph(graph, {graph.inputs[0].tensor: quantized})[graph.outputs[0].tensor].reshape(-1)
            said = answer(line, frame)
            if name == "camera-rows":
                assert [int(word) for word in said.split()] == scores.tolist()
            else:
                assert said.startswith("LED on" if scores.argmax() == 1 else "LED off")
