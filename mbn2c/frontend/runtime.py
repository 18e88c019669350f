"""ONNX Runtime, the oracle: runs the user's float model and our exported ones.

The only door to the `onnxruntime` package.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from mbn2c.errors import ModelError

# ONNX Runtime 1.32 reports its use to its maker unless told not to, and leaves a file in the temporary folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

# Severity 4: only fatal messages. What goes wrong is raised, and reported once.
_FATAL_ONLY = 4


class Oracle:
    """One ONNX model in ONNX Runtime on the CPU.

    model       path or serialized bytes
    as_written  compute node by node what the file says, fusing nothing
    raises      ModelError if ONNX Runtime refuses the model
    """

    def __init__(self, model: Path | bytes, *, threads: int = 2, as_written: bool = False) -> None:
        options = _options(threads)
        if as_written:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Not its path: ONNX Runtime takes none that is not UTF-8.
        source = model.read_bytes() if isinstance(model, Path) else model
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
        """Of the model, in order."""
        return [entry.name for entry in self._session.get_inputs()]

    @cached_property
    def output_names(self) -> list[str]:
        """Of the model, in order."""
        return [entry.name for entry in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Run once; returns the named outputs (all of them by default)."""
        names = list(outputs) if outputs is not None else self.output_names
        try:
            values = self._session.run(names, dict(inputs))
        except Exception as error:  # see __init__
            raise ModelError(f"ONNX Runtime fails: {_first_line(error)}", hint="check the input's shape") from error
        return dict(zip(names, values, strict=True))


def fused_model(model: bytes) -> bytes:
    """What ONNX Runtime makes of a model before it runs it: graph optimizations that do not depend on memory layout.

    raises  ModelError if ONNX Runtime refuses the model
    """
    options = _options(threads=1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.onnx"
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many unrelated classes
            raise ModelError(
                f"ONNX Runtime refuses the model: {_first_line(error)}",
                hint="check the file with onnx.checker, or export it again",
            ) from error
        return path.read_bytes()


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    # Threads that wait busily take half of the processor time of one image after the other, and gain nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
