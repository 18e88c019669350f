"""mbn2c as a process: signals, terminals of another encoding, full disks. No traceback, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import Net
from PIL import Image

from mbn2c.cli import main
from mbn2c.commands import demo

BUILD = ["build", str(demo.MODEL_FILE), "--target", "host", "--calib", "random", "--name", "digits"]


def start(words: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mbn2c", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def wait_for(there: object, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not there():  # type: ignore[operator]
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def has_loaded(process: subprocess.Popen[str], library: str) -> bool:
    return library in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc to see from how far the imports have come")
@pytest.mark.parametrize("library", ["_multiarray_umath", "onnx", "onnxruntime_pybind"])
def test_ctrl_c_during_the_imports_is_one_line(library: str) -> None:
    process = start(["build", "nowhere.onnx"])
    wait_for(lambda: has_loaded(process, library), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_temporary_folder(number: signal.Signals, tmp_path: Path) -> None:
    process = start(["demo", "--board", "qemu-mps2-an500"], TMPDIR=str(tmp_path))
    wait_for(lambda: list(tmp_path.glob("mbn2c-*/mbn2c-demo-*")), process)
    process.send_signal(number)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def tiny_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a network for the host, and 20,000 inputs for it."""
    folder = tmp_path_factory.mktemp("tiny")
    onnx.save(Net(shape=(1, 3, 8, 8)).conv(3, 4).head(4).model(), folder / "tiny.onnx")
    np.savez(folder / "images.npz", np.zeros((20_000, 3, 8, 8), np.uint8))
    words = ["build", str(folder / "tiny.onnx"), "--target", "host", "--calib", "random", "-o", str(folder / "out")]
    assert main(words) == 0
    return folder


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc to find child processes in")
def test_sigterm_ends_the_device_too(tiny_out: Path, tmp_path: Path) -> None:
    words = ["verify", str(tiny_out / "out"), "--host", "--images", str(tiny_out / "images.npz")]
    process = start(words, TMPDIR=str(tmp_path))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_for(lambda: (tiny_out / "out" / "verify.journal").exists(), process)
    device = children.read_text().split()
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "")
    assert device and not any(Path(f"/proc/{each}").exists() for each in device)
    assert list(tmp_path.iterdir()) == []


TERMINALS = [
    {"PYTHONIOENCODING": "utf-8"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("environment", TERMINALS, ids=str)
def test_names_that_the_terminal_cannot_show(environment: dict[str, str], tmp_path: Path) -> None:
    name = os.fsdecode(b"mod\xc3\xa8le \xff.onnx")
    onnx.save(Net(shape=(1, 3, 8, 8)).conv(3, 4).head(4).model(), tmp_path / "tiny.onnx")
    (tmp_path / "tiny.onnx").rename(tmp_path / name)
    for words in (["inspect", str(tmp_path / name)], ["inspect", str(tmp_path / name), "--json"]):
        out, err = start(words, **environment).communicate(timeout=60)
        assert err == ""
        assert '"architecture": "convolutional network, 8x8"' in out or ".onnx: convolutional network, 8x8" in out
    _, err = start(["inspect", str(tmp_path / f"{name}.gone")], **environment).communicate(timeout=60)
    assert err.startswith("error: no such model file\nwhere: ") and "Traceback" not in err


def test_names_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Undecodable bytes in every name of a build and a verification."""
    model, images, out = (tmp_path / os.fsdecode(name) for name in (b"m\xff.onnx", b"images\xfe", b"out\xfd"))
    onnx.save(Net(shape=(1, 3, 8, 8)).conv(3, 4).head(4).model(), tmp_path / "tiny.onnx")
    (tmp_path / "tiny.onnx").rename(model)
    images.mkdir()
    labels = tmp_path / os.fsdecode(b"labels\xfc.csv")
    labels.write_text("file,index\na.png,1\n")
    with (images / "a.png").open("wb") as file:
        Image.new("RGB", (8, 8)).save(file, "PNG")
    calib = ["--calib", str(images), "--preprocess", "unit"]
    assert main(["build", str(model), "--target", "host", *calib, "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["file"] == "m\N{REPLACEMENT CHARACTER}.onnx"
    assert main(["verify", str(out), "--host", "--images", str(images), "--labels", str(labels), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 1
