"""What a verify leaves to look at: tables and the worst images of a classifier, and the page that shows them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbn2c.files.csv_table import csv_bytes
from mbn2c.report.html.results import PAGE, with_page
from mbn2c.tasks.classification.results import SeenClass, class_files
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.inputs import InputSpec

SPEC = InputSpec((1, 1, 4, 6), (0, 3, 1, 2))
SEEN = [
    SeenClass(0, "a.png", device=1, float32=1, true=1, sqnr_db=30.0),
    SeenClass(1, "b.png", device=0, float32=1, true=1, sqnr_db=20.0),  # wrong
    SeenClass(2, "c.png", device=2, float32=1, true=2, sqnr_db=10.0),  # right, the float model is wrong
    SeenClass(3, "d.png", device=2, float32=0, true=None, sqnr_db=25.0),  # not as the float model, truth not known
]


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    for number, one in enumerate(SEEN):
        Image.fromarray(np.full((4, 6), 50 * number, np.uint8)).save(tmp_path / one.name)
    return open_samples(tmp_path, SPEC)


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def test_tables_and_the_worst_images(samples: Samples) -> None:
    files = dict(class_files(samples, SEEN, ["no", "yes"]))
    assert rows(files["images.csv"])[1:] == [
        ["a.png", "yes", "yes", "yes", "30.0", "yes"],
        ["b.png", "no", "yes", "yes", "20.0", "no"],
        ["c.png", "2", "yes", "2", "10.0", "yes"],
        ["d.png", "2", "no", "", "25.0", "no"],
    ]
    assert rows(files["confusion.csv"]) == [
        ["", "no", "yes", "2"],
        ["no", "0", "0", "1"],
        ["yes", "1", "1", "0"],
        ["2", "0", "0", "1"],
    ]
    pictures = [name for name in files if name.endswith(".png")]
    assert pictures == ["wrong_01_b.png", "wrong_02_d.png", "noisy_03_c.png", "noisy_04_a.png"]
    assert np.asarray(Image.open(io.BytesIO(files["wrong_02_d.png"]))).tolist() == np.full((4, 6), 150).tolist()


def test_without_a_float_model_truths_and_pictures() -> None:
    samples = Samples(SPEC, values=np.zeros((2, 1, 4, 6), np.float32), rows=(0, 1))
    seen = [SeenClass(number, str(number), None, None, None, None) for number in range(2)]
    files = dict(class_files(samples, seen, []))
    assert list(files) == ["images.csv"] and rows(files["images.csv"])[1:] == [[str(n), *[""] * 5] for n in (0, 1)]


def test_the_page_links_all_and_escapes_names() -> None:
    table = csv_bytes(("file", "n"), [("<b>\x1b[2K", number) for number in range(300)])
    made = dict(with_page([("images.csv", table), ("wrong_01_a&b#.png", b"png")], "net<1>", [("device", "0 <bytes>")]))
    page = made[PAGE].decode()
    assert list(made) == ["images.csv", "wrong_01_a&b#.png", PAGE] and made["images.csv"] == table
    assert 'href="images.csv"' in page and 'src="wrong_01_a%26b%23.png"' in page and "../report.html" in page
    assert "net&lt;1&gt;" in page and "&lt;b&gt;\\x1b[2K" in page and "<b>" not in page and "\x1b" not in page
    assert "and 100 more rows in images.csv" in page
    assert list(with_page([], "net", [])) == []
