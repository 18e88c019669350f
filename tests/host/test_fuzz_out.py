"""An output folder with flipped bytes: refused in words, found to differ, or verified where they do not matter."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from fuzzing import flips, outcomes, run
from hostile_models import small_mobilenet

from mbn2c.cli import main

# Every file of it that some command reads; the page and the objects are for people and the compiler.
_NOT_READ = (".html", ".o", ".d", ".su", ".ci")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with OUT, built for the host with its firmware, and images for it."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "small.onnx").write_bytes(small_mobilenet().SerializeToString())
    np.savez(folder / "images.npz", np.random.default_rng(0).normal(0, 1, (2, 3, 16, 16)).astype(np.float32))
    words = ["build", str(folder / "small.onnx"), "--target", "host", "--board", "host", "--calib", "random"]
    assert main([*words, "-o", str(folder / "out")]) == 0
    return folder


def fuzz(built: Path, count: int, seed: int, folder: Path) -> list[int]:
    """Flip bytes of random files, each time in a copy as it was built; returns the exit codes of verify."""
    files = [path for path in sorted((built / "out").rglob("*")) if path.is_file() and path.suffix not in _NOT_READ]
    chance = random.Random(seed)
    codes = []
    shutil.copytree(built / "out", folder / "out")
    for _ in range(count):
        file = chance.choice(files)
        content = file.read_bytes()
        if not content:
            continue
        [(place, flipped)] = flips(content, 1, chance.randrange(1 << 30))
        target = folder / "out" / file.relative_to(built / "out")
        target.write_bytes(flipped)
        images = str(built / "images.npz")
        try:
            code, said = run(["verify", str(folder / "out"), "--host", "--images", images])
        except Exception as error:
            raise AssertionError(f"byte {place} of {file.name} flipped with seed {seed}") from error
        finally:
            target.write_bytes(content)
        codes.append(code)
        assert code in (0, 1, 2, 5), (file.name, place, said)
    return codes


def test_some_flips(built: Path, tmp_path: Path) -> None:
    codes = fuzz(built, 12, 1, tmp_path)
    assert codes.count(2) > 0, outcomes(codes)


@pytest.mark.slow
def test_two_hundred_flips(built: Path, tmp_path: Path) -> None:
    codes = fuzz(built, 200, 2, tmp_path)
    print(f"verify of an output folder: {outcomes(codes)}")
    assert len(codes) > 190
