"""The function a model ends an output with, which the importer splits off: the device returns int8 from before it.

What the host computes and what the generated C offers, one row for each. `Port.tail` names the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# The smallest probability whose logarithm is taken; the largest logit that a float32 sigmoid still has to one per cent.
_SMALLEST, LARGEST_LOGIT = 1e-30, 12.0


@dataclass(frozen=True)
class Tail:
    """One such function.

    operator  in ONNX; QLinear before it in ONNX Runtime's own
    over_classes  every value depends on all classes, so it must run over the classes of the image and nothing else
    apply     float64 values of one output -> what the model says; a softmax runs over all of them
    undo      the inverse, elementwise: of a softmax up to a constant, of a sigmoid within LARGEST_LOGIT
    function  what its C is called
    table     (scale, zero_point) of the int8 output -> float32 [256] that the C reads
    """

    operator: str
    over_classes: bool
    apply: Callable[[np.ndarray], np.ndarray]
    undo: Callable[[np.ndarray], np.ndarray]
    function: str
    table: Callable[[float, int], np.ndarray]


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


TAILS: dict[str, Tail] = {
    "softmax": Tail("Softmax", True, _softmax, _log, "softmax", _exponentials),
    "log_softmax": Tail("LogSoftmax", True, _log_softmax, np.asarray, "softmax", _exponentials),
    "sigmoid": Tail("Sigmoid", False, _sigmoid, _logit, "sigmoid", _sigmoids),
}
TAIL_OF_OPERATOR = {tail.operator: name for name, tail in TAILS.items()}
IN_WORDS = "softmax or sigmoid at the end"
# What users have behind such outputs, by ONNX's name -> what to do about it.
BEHIND_OUTPUTS = {
    "ArgMax": "leave it out; mbn2c reports the best class itself",
    "TopK": "leave it out; mbn2c reports the best classes itself",
    "NonMaxSuppression": "leave it to your program, on the boxes and scores that it reads here",
}
