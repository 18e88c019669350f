"""ONNX Runtime, the oracle: runs the user's float model and our exported ones.

The only door to the `onnxruntime` package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

from mbn2c.errors import ModelError

# Severity 4: only fatal messages. What goes wrong is raised, and told once.
_FATAL_ONLY = 4


class Oracle:
    """One ONNX model in ONNX Runtime on the CPU.

    model   path or serialized bytes
    raises  ModelError if ONNX Runtime refuses the model
    """

    def __init__(self, model: Path | bytes, *, threads: int = 2) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        options.intra_op_num_threads = threads
        source = str(model) if isinstance(model, Path) else model
        try:
            self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many unrelated classes
            raise ModelError(
                f"ONNX Runtime refuses the model: {_first_line(error)}",
                where=str(model) if isinstance(model, Path) else "exported model",
                hint="check the file with onnx.checker, or export it again",
            ) from error

    @cached_property
    def input_names(self) -> list[str]:
        return [entry.name for entry in self._session.get_inputs()]

    @cached_property
    def output_names(self) -> list[str]:
        return [entry.name for entry in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Run once; returns the named outputs (all of them by default)."""
        names = list(outputs) if outputs is not None else self.output_names
        try:
            values = self._session.run(names, dict(inputs))
        except Exception as error:  # see __init__
            raise ModelError(f"ONNX Runtime fails: {_first_line(error)}", hint="check the input's shape") from error
        return dict(zip(names, values, strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
