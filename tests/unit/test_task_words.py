"""What outputs mean stands in `tasks/` alone: no other room takes an argmax, or the first output for the only one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ("mbn2c/tasks/", "templates/network/tasks/")
# A node has outputs too, of which the first is what it makes; a network's first output is one of several.
WORDS = re.compile(
    r"argmax|softmax|top[-_ ]?1(?![0-9])"
    r"|(?<![\w.])outputs\[0\]|[\"']outputs[\"']\]\[0\]|\b(?:graph|network|plan|task|report|result|quantized)\.outputs\[0\]",
    re.IGNORECASE,
)

# (files that begin with, words, why)
ALLOWED = [
    ("mbn2c/planner/memory.py", ("argmax",), "of the bytes alive at each moment"),
    ("mbn2c/quantize/int16.py", ("argmax",), "of the bytes alive at each moment"),
    ("mbn2c/ops/class_map.py", ("argmax",), "its kernel without a resize"),
    ("templates/kernels/scalar/argmax.c", ("argmax",), "its C"),
    ("mbn2c/ops/max_pool2d.py", ("argmax",), "of the pixels of a window, which has the gradient"),
    ("mbn2c/frontend/detectors/", ("softmax",), "how a detector's file ends is read here, for tasks/detection"),
    ("mbn2c/frontend/segmenters.py", ("softmax", "argmax"), "likewise a segmenter's, for tasks/segmentation"),
    ("mbn2c/ops/ssd_candidates/", ("softmax",), "which codes are compared in its place"),
    ("templates/kernels/scalar/ssd_candidates.c", ("softmax",), "its C"),
    ("mbn2c/commands/demo/train_digits.py", ("argmax",), "the demo's model is a classifier, and is trained here"),
    ("templates/packages/", ("top1",), "the example of a classifier calls its function"),
    ("mbn2c/commands/pytest_plugin.py", ("top1",), "the example in its docstring tests a classifier"),
]


def found_in(text: str) -> list[str]:
    return [match[0].lower() for match in WORDS.finditer(text)]


def sources() -> dict[str, str]:
    files = [file for room in ("mbn2c", "templates") for file in sorted((ROOT / room).rglob("*")) if file.is_file()]
    texts = {file.relative_to(ROOT).as_posix(): file for file in files if "__pycache__" not in file.parts}
    return {path: file.read_bytes().decode(errors="replace") for path, file in texts.items()}


def test_no_other_room_knows_what_outputs_mean() -> None:
    strays, used = [], set()
    for path, text in sources().items():
        if path.startswith(HOME):
            continue
        for word in found_in(text):
            why = [entry for entry in ALLOWED if path.startswith(entry[0]) and word in entry[1]]
            used.update((entry[0], word) for entry in why)
            strays += [] if why else [f"{path}: {word}"]
    assert not strays
    assert used == {(start, word) for start, words, _ in ALLOWED for word in words}, "an exception that nobody needs"


@pytest.mark.parametrize(
    "line",
    [
        "best = scores.argmax(axis=3)",
        'if port.tail == "softmax":',
        'result["top1_device"]',
        "top-1",
        "main = outputs[0]",
        "port = graph.outputs[0]",
        'report["outputs"][0]["kind"]',
    ],
)
def test_a_stray_is_found(line: str) -> None:
    assert found_in(line)


@pytest.mark.parametrize("line", ["made = node.outputs[0]", "head.outputs[0]", "top10", "stop 12", "outputs[number]"])
def test_a_nodes_output_is_none(line: str) -> None:
    assert not found_in(line)
