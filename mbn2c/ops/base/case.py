"""Example cases of operators, one node each; `tests/support/operator_cases.py` makes a network of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbn2c.ir.graph import Quant
from mbn2c.ir.window import Activation, Window

RELU6 = Activation(0.0, 6.0)
RELU = Activation(0.0, float("inf"))
Shape = tuple[int, ...]
Constants = Callable[[np.random.Generator], Sequence[np.ndarray]]
Edit = Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]


def _none(generator: np.random.Generator) -> Sequence[np.ndarray]:
    return ()


@dataclass(frozen=True)
class Case:
    """One node.

    shapes      of its activations, NHWC; the first is the network's input, the others are made from it
    attributes  of the operator's class
    constants   its constant inputs, behind the activations
    quants      of a node that is int8 from the start: of its activations in order, and of its output
    repeats     all activations are the network's input
    """

    shapes: tuple[Shape, ...]
    attributes: Any
    constants: Constants = _none
    quants: tuple[Quant, ...] = ()
    repeats: bool = False


def layer(shape: Shape, channel_axis: int) -> Constants:
    """Random weights of a shape, and biases; channels of very different size exercise per-channel scales."""

    def constants(generator: np.random.Generator) -> Sequence[np.ndarray]:
        channels = shape[channel_axis]
        sizes = generator.uniform(0.2, 1.5, channels) / np.sqrt(np.prod(shape) / channels)
        spread = [1] * len(shape)
        spread[channel_axis] = channels
        return generator.normal(size=shape) * sizes.reshape(spread), generator.normal(scale=0.3, size=channels)

    return constants


def unchanged(weights: np.ndarray, bias: np.ndarray) -> Sequence[np.ndarray]:
    """The edit that changes nothing."""
    return weights, bias


def edited(constants: Constants, edit: Edit) -> Constants:
    """Weights and biases, changed."""
    return lambda generator: edit(*constants(generator))


def same_window(size: int, stride: int) -> Window:
    """PyTorch's padding: size // 2 on every side."""
    return Window((size, size), (stride, stride), (size // 2,) * 4)
