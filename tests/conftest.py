"""What all tests share: goldens, skips in words, and how many random networks are tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).resolve().parent / "golden"

# The same examples on every run: what is new is found by the `slow` sweeps, which try more of them.
settings.register_profile(
    "mbn2c",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile("mbn2c")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="renew the files in tests/golden")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/<path>, or renew the file with --update-golden."""

    def compare(path: str, text: str) -> None:
        file = GOLDEN / path
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert file.is_file(), f"tests/golden/{path} is missing; pytest --update-golden writes it"
        assert text == file.read_text(), f"tests/golden/{path} differs; if it should, run pytest --update-golden"

    return compare


@pytest.fixture
def need_tool() -> Callable[[str], str]:
    """The path of a command, or a skip that says which one is missing."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed; `mbn2c doctor` says how to get it")
        return path

    return find
