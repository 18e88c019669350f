"""Files that users name: as many bytes as may be read, to the last one, and what is refused in words."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mbn2c.errors import UsageError
from mbn2c.files import user_files
from mbn2c.files.user_files import read_bytes, read_npz, read_text, regular_file, text_of


def refusal(read: Callable[[], object]) -> str:
    """What is said; "" if it is read."""
    try:
        read()
    except UsageError as error:
        return f"{error.what} | {error.hint}"
    return ""


@pytest.mark.parametrize("most, refused", [(9, True), (10, False), (11, False)])
def test_a_file_may_be_as_large_as_that(most: int, refused: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    said = refusal(lambda: read_bytes(tmp_path / "a", "labels file", "shorten it", most))
    assert said == (f"the labels file is larger than {most} bytes | shorten it" if refused else "")
    assert refused or read_bytes(tmp_path / "a", "labels file", "", most) == b"0123456789"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    assert regular_file(tmp_path / "file", "model", "") == regular_file(tmp_path / "link", "model", "") == 3
    for name, expected in {
        "none": "no such model | check the path",
        "file/below": "cannot read the model: Not a directory | a hint",
        "loop": "cannot read the model: Too many levels of symbolic links | a hint",
        "zero\0byte": "cannot read the model: embedded null byte | a hint",
        ".": "the model is a folder, not a file | a hint",
        "fifo": "the model is a device or a pipe, not a file | copy it into a file",
    }.items():
        assert refusal(lambda name=name: regular_file(tmp_path / name, "model", "a hint")) == expected


@pytest.mark.parametrize("content", [b"caf\xc3\xa9\n", b"\xef\xbb\xbfcaf\xc3\xa9\n"])
def test_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt", "file", "") == "caf\u00e9\n"


def test_text_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    assert refusal(lambda: read_text(tmp_path / "a.txt", "file", "")) == "the file is not UTF-8 text | save it as UTF-8"
    monkeypatch.setattr(user_files, "MAX_TEXT_BYTES", 3)
    assert "larger than 3 bytes" in refusal(lambda: read_text(tmp_path / "a.txt", "file", ""))
    assert text_of(os.fsdecode(b"caf\xe9.png")) == "caf\ufffd.png" and text_of("caf\u00e9") == "caf\u00e9"


# --- .npz ----------------------------------------------------------------------------------------


ARRAYS = {
    "whole": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    "column_first": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "one": np.float64(2.5),
    "none": np.zeros((0, 3), np.uint8),
    "text": np.array(["a", "bcd"]),
}


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asanyarray(array), version)
    return content.getvalue()


def archive(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays_come_back(version: tuple[int, int], tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {f"{name}.npy": npy(array, version) for name, array in ARRAYS.items()})
    found = read_npz(path, "file", "")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert np.array_equal(found[name], array) and not found[name].flags.writeable


def test_more_than_the_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Declared bytes against the larger of the ratio to the file's size and what any file may have."""
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.zeros(100_000, np.uint8))})
    size, unpacked = path.stat().st_size, len(npy(np.zeros(100_000, np.uint8)))
    for ratio, always, refused in (
        (1, unpacked, False),
        (1, unpacked - 1, True),
        (unpacked // size + 1, 0, False),
        (unpacked // size, 0, True),
    ):
        monkeypatch.setattr(user_files, "MAX_UNPACKED_RATIO", ratio)
        monkeypatch.setattr(user_files, "ALWAYS_UNPACKED_BYTES", always)
        said = refusal(lambda: read_npz(path, "file", "look"))
        words = f"it declares {unpacked:,} bytes of content in a file of {size:,}"
        assert said == (f"cannot read the file: {words} | look" if refused else "")


def changed(old: bytes, new: bytes) -> dict[str, bytes]:
    content = npy(np.arange(4, dtype=np.int16))
    assert content.count(old) == 1
    return {"a.npy": content.replace(old, new)}


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "no array": ({"a.txt": b"hello"}, "'a.txt' in it is no array"),
    "objects": ({"a.npy": npy(np.array([None]))}, "'a.npy' holds Python objects, not numbers"),
    "version": (changed(b"NUMPY\x01\x00", b"NUMPY\x03\x00"), "'a.npy' has the unknown version 3"),
    "version 0": (changed(b"NUMPY\x01\x00", b"NUMPY\x00\x00"), "'a.npy' has the unknown version 0"),
    "too few bytes": ({"a.npy": npy(np.arange(4, dtype=np.int16))[:-1]}, "of shape [4] needs 8 bytes, 7 are there"),
    "too many bytes": ({"a.npy": npy(np.arange(4, dtype=np.int16)) + b"x"}, "of shape [4] needs 8 bytes, 9 are there"),
    "absurd shape": (changed(b"(4,), ", b"(9,), "), "of shape [9] needs 18 bytes, 8 are there"),
}


@pytest.mark.parametrize("entries, words", REFUSED.values(), ids=REFUSED)
def test_refused(entries: dict[str, bytes], words: str, tmp_path: Path) -> None:
    said = refusal(lambda: read_npz(archive(tmp_path / "a.npz", entries), "file", "look"))
    assert said.startswith("cannot read the file: ") and said.endswith(f"{words} | look"), said


def test_a_bare_array_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(npy(np.zeros(3)))
    assert "it is an .npy, one bare array" in refusal(lambda: read_npz(tmp_path / "a.npz", "file", ""))
    (tmp_path / "b.npz").write_bytes(b"PK nothing")
    assert "File is not a zip file" in refusal(lambda: read_npz(tmp_path / "b.npz", "file", ""))
