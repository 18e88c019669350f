"""What a refusal of the importer looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.passes import run_passes


def assert_refused(path: Path, message: str, capfd: pytest.CaptureFixture[str], kind: type = ModelError) -> None:
    """One error of three lines, nothing printed, by native code either."""
    with pytest.raises(kind) as caught:
        run_passes(import_model(path))
    error = caught.value
    assert message in error.what
    assert error.where
    assert error.hint
    assert "\n" not in error.what
    assert capfd.readouterr() == ("", "")
