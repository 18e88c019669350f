"""The function a model ends an output with, which the importer splits off: the device returns int8 from before it.

What the host computes and what the generated C offers, one row for each. `Port.tail` names the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# The smallest probability whose logarithm is taken; the largest logit that a float32 sigmoid still has to one per cent,
# and what a float32 tanh still has.
_SMALLEST, LARGEST_LOGIT, _LARGEST_ANGLE = 1e-30, 12.0, 6.0


@dataclass(frozen=True)
class Tail:
    """One such function.

    operator  in ONNX; QLinear before it in ONNX Runtime's own
    over_classes  every value depends on all classes, so it must run over the classes of the image and nothing else
    apply     float64 values of one output -> what the model says; a softmax runs over all of them
    undo      the inverse, elementwise: of a softmax up to a constant, of a sigmoid within LARGEST_LOGIT, of an L2
              normalization up to a factor
    function  what its C is called
    template  of its C, in templates/network/tasks
    table     (scale, zero_point) of the int8 output -> float32 [256] that the C reads; None: it reads none
    makes     what the C makes, for its header
    formula   of each value, for a comment
    is_compared_after  networks are compared by what it makes, not by what stands before it
    """

    operator: str
    over_classes: bool
    apply: Callable[[np.ndarray], np.ndarray]
    undo: Callable[[np.ndarray], np.ndarray]
    function: str
    template: str
    table: Callable[[float, int], np.ndarray] | None = None
    makes: str = "probabilities"
    formula: str = ""
    is_compared_after: bool = False


def apply_tail(tail: str, values: np.ndarray) -> np.ndarray:
    """What the model says where the device returns `values`, real numbers; "" leaves them as they are."""
    return TAILS[tail].apply(values.astype(np.float64)) if tail else values


def undo_tail(tail: str, values: np.ndarray) -> np.ndarray:
    """What stands before the tail where the model says `values`, float64."""
    return TAILS[tail].undo(values.astype(np.float64)) if tail else values.astype(np.float64)


def _log_softmax(values: np.ndarray) -> np.ndarray:
    shifted = values - values.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def _softmax(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(_log_softmax(values)))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -values)))


def _log(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(values, _SMALLEST)))


def _logit(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(values) - np.log1p(-values), -LARGEST_LOGIT, LARGEST_LOGIT))


def _exponentials(scale: float, zero_point: int) -> np.ndarray:
    """exp of minus every difference two int8 logits can have."""
    return np.exp(-scale * np.arange(256)).astype(np.float32)


def _sigmoids(scale: float, zero_point: int) -> np.ndarray:
    """Of every int8 value, -128 first."""
    return _sigmoid(scale * (np.arange(-128, 128) - zero_point)).astype(np.float32)


def _unit(values: np.ndarray) -> np.ndarray:
    length = float(np.sqrt((values**2).sum()))
    return values / length if length > 0 else values


def _angle(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.arctanh(np.clip(values, -1, 1)), -_LARGEST_ANGLE, _LARGEST_ANGLE))


def _tanhs(scale: float, zero_point: int) -> np.ndarray:
    """Of every int8 value, -128 first."""
    return np.tanh(scale * (np.arange(-128, 128) - zero_point)).astype(np.float32)


TAILS: dict[str, Tail] = {
    "softmax": Tail("Softmax", True, _softmax, _log, "softmax", "softmax", _exponentials),
    "log_softmax": Tail("LogSoftmax", True, _log_softmax, np.asarray, "softmax", "softmax", _exponentials),
    "sigmoid": Tail(
        "Sigmoid",
        False,
        _sigmoid,
        _logit,
        "sigmoid",
        "each_value",
        _sigmoids,
        formula="1 / (1 + exp(-scale * (value - zero_point)))",
    ),
    "tanh": Tail(
        "Tanh",
        False,
        np.tanh,
        _angle,
        "tanh",
        "each_value",
        _tanhs,
        makes="values",
        formula="tanh(scale * (value - zero_point))",
        is_compared_after=True,
    ),
    # The length that a vector had before is lost, and with it what `undo` would have to find.
    "l2_normalize": Tail(
        "LpNormalization",
        True,
        _unit,
        np.asarray,
        "l2_normalize",
        "l2_normalize",
        makes="values",
        is_compared_after=True,
    ),
}
TAIL_OF_OPERATOR = {tail.operator: name for name, tail in TAILS.items()}
IN_WORDS = "softmax, sigmoid, tanh, L2 normalization or ArgMax at the end"
# ONNX operators over classes that a model may end with and that are left out, each with what to tell of it.
CHOICES = {"ArgMax": "ArgMax at the end is left out: the output is the values of the classes"}
# What users have behind such outputs, by ONNX's name -> what to do about it.
BEHIND_OUTPUTS = {
    "ArgMax": "leave it out; mbn2c reports the best class itself",
    "TopK": "leave it out; mbn2c reports the best classes itself",
    "NonMaxSuppression": "leave it to your program, on the boxes and scores that it reads here",
}
