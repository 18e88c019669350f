"""What a model, a board or a file is called reaches no terminal and no page as anything but text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from models import tiny_mobilenet_v2

from mbn2c.cli import main
from mbn2c.cli.streams import complain, say
from mbn2c.errors import BoardError
from mbn2c.frontend.export import to_onnx_float
from mbn2c.printable import printable
from mbn2c.report.bench_text import bench_text
from mbn2c.report.table import table
from mbn2c.report.text import OWN_FIRMWARE

# Erases the line and writes another one; turns words round; a bell, an 8-bit control sequence, another line break.
EVIL = "conv\x1b[2K\rerror: all is well\n\u202edevice  0 bytes differ\x07\x9b31m\u2028\x00\udc80"
SHOWN = "conv\\x1b[2K\\rerror: all is well\\n\\u202edevice  0 bytes differ\\x07\\x9b31m\\u2028\\x00\\udc80"


def is_clean(text: str) -> bool:
    return text.replace("\n", "").isprintable()


def test_a_name_is_one_line_of_text() -> None:
    assert printable(EVIL) == SHOWN
    assert printable("Stra\u00dfe \u6f22 /features/0") == "Stra\u00dfe \u6f22 /features/0"
    assert printable("a\nb\tc", lines=True) == "a\nb\\tc"


@pytest.mark.parametrize("write", [say, complain], ids=["say", "complain"])
def test_nothing_else_reaches_the_terminal(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write(EVIL)
    captured = capsys.readouterr()
    assert is_clean(captured.out + captured.err) and "conv\\x1b[2K\\rerror" in captured.out + captured.err


def test_an_error_makes_no_lines_that_look_like_its_own() -> None:
    text = str(BoardError(f"no {EVIL}", where=f"{EVIL}\ntry:   rm -rf", hint=EVIL))
    assert is_clean(text)
    assert [line.split(":")[0] for line in text.splitlines() if not line.startswith(" ")] == ["error", "where", "try"]


def test_a_cell_of_a_table_stays_in_it() -> None:
    assert table([("layer", EVIL), ("next", "row")]) == f"layer  {SHOWN}\nnext   row"


@pytest.fixture(scope="module")
def evil_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers and file have such names, as far as ONNX and file systems go."""
    model = onnx.load_from_string(to_onnx_float(tiny_mobilenet_v2()))
    for number, node in enumerate(model.graph.node):
        node.name = f"{EVIL[:-2]}{number}"
    file = tmp_path_factory.mktemp("evil") / f"{EVIL[:-2]}.onnx"
    onnx.save(model, str(file))
    return file


def test_commands_show_evil_names_as_text(evil_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out\x1b[2K"
    said = []
    for words in (
        ["inspect", str(evil_model)],
        ["build", str(evil_model), "--target", "host", "--calib", "random", "-o", str(folder)],
        ["verify", str(folder), "--host", "--images", str(evil_model)],
        ["flash", str(folder), "--board", "\x1b[2K"],
    ):
        code = main(words)
        captured = capsys.readouterr()
        said.append((code, captured.out + captured.err))
        assert is_clean(captured.out + captured.err), words
    assert [code for code, _ in said] == [0, 0, 2, 2]
    assert "conv\\x1b[2K\\rerror: all is well\\n" in said[0][1] and "conv\\x1b[2K" in said[1][1]
    page = (folder / "report.html").read_text()
    assert is_clean(page) and "conv\\x1b[2K" in page
    assert (folder / "report.json").read_text().isascii()


def test_a_refused_word_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["targets", EVIL])
    assert is_clean(capsys.readouterr().err)


def test_what_a_device_says_is_shown_as_text() -> None:
    """In a failed verify, board and layers are named in one cell each."""
    rows = [line for line in bench_text(BENCH).splitlines() if "conv" in line]
    assert len(rows) == 2 and is_clean("".join(rows))


BENCH: dict[str, Any] = {
    "layers": [
        {"step": 0, "name": EVIL[:20], "op": "conv2d", "macs": 1, "cycles": 1, "cycles_per_mac": 1.0, "share": 1.0}
    ],
    "cycles_per_inference": 1, "cycles_per_mac": 1.0, "board": EVIL, "core": EVIL, "measured": OWN_FIRMWARE,
    "ms_per_inference": None,
}  # fmt: skip
