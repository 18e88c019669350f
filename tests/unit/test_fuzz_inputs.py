"""Inputs with flipped bytes: .npz, images, labels, lab.toml, network.npz. Read, or refused by a UsageError in words."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing import flips
from models import tiny_mobilenet_v2
from networks import quantized
from PIL import Image

from mbn2c.commands.verify.open_devices import read_lab
from mbn2c.errors import UsageError
from mbn2c.network.file import graph_to_bytes, read_graph
from mbn2c.tasks.class_names import read_class_names
from mbn2c.tasks.classification.csv_labels import read_labels
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import InputSpec

FLIPS = 150
SPEC = InputSpec((1, 3, 8, 12), (0, 3, 1, 2))


def npz(save: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    save(file, a=np.random.default_rng(0).normal(0, 1, (4, 3, 8, 12)).astype(np.float32))
    return file.getvalue()


def image(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(file, form)
    return file.getvalue()


def samples(file: Path) -> object:
    found = list(open_samples(file, SPEC))
    return [sample.values.tobytes() for sample in found if sample.values is not None]


def network(file: Path) -> object:
    return graph_to_bytes(read_graph(file))


def folder(file: Path) -> object:
    return samples(file.parent)


INPUTS = {
    # what: (file name, content, how it is read)
    "npz": ("a.npz", npz(np.savez), samples),
    "compressed npz": ("a.npz", npz(np.savez_compressed), samples),
    "png": ("a.png", image("PNG"), folder),
    "jpeg": ("a.jpg", image("JPEG"), folder),
    "labels": ("labels.csv", b'file,index,label\na.png,1,cat\n"b,c.png",0,dog\n', read_labels),
    "class names": ("names.csv", b"index,name\n0,cat\n1,dog\n", read_class_names),
    "lab": ("lab.toml", b'[[boards]]\nport = "/dev/ttyACM0"\nbaud = 921600\n[[boards]]\nemulated = "host"\n', read_lab),
    "network": ("network.npz", graph_to_bytes(quantized(tiny_mobilenet_v2())), network),
}

# A zip's checksums cover every array.
CHECKSUMMED = ("npz", "compressed npz", "network")


@pytest.mark.parametrize("what", INPUTS)
def test_flips(what: str, tmp_path: Path) -> None:
    name, content, read = INPUTS[what]
    (tmp_path / name).write_bytes(content)
    whole, refused = read(tmp_path / name), 0
    for place, flipped in flips(content, FLIPS, 3):
        (tmp_path / name).write_bytes(flipped)
        try:
            found = read(tmp_path / name)
            assert found == whole or what not in CHECKSUMMED, f"byte {place}: read as something else"
        except UsageError as error:
            assert error.what and error.where
            refused += 1
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"byte {place} of {len(content)}") from error
    assert refused > 0


@pytest.mark.parametrize("what", INPUTS)
def test_cut_short_and_empty(what: str, tmp_path: Path) -> None:
    name, content, read = INPUTS[what]
    for length in (0, 1, len(content) // 3, len(content) - 1):
        (tmp_path / name).write_bytes(content[:length])
        try:
            read(tmp_path / name)
        except UsageError as error:
            assert error.what
