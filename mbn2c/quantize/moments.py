"""Inputs of a layer, float and int8 -> their second moments, all that fitting the layer's weights needs to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Node, Quant
from mbn2c.ops import operator_of, weighted_of
from mbn2c.ops.base.quants import scale_of

# Output pixels of all images together that a layer is fitted on: so many for each weight of a channel, within limits.
_SAMPLES_PER_WEIGHT, _FEWEST_SAMPLES, _MOST_SAMPLES = 32, 2048, 8192


@dataclass(frozen=True)
class Moments:
    """Second moments of a layer's inputs about their means; G = 1 for dense layers, C (one per row) for depthwise.

    own     float64 [G, K, K], int8 inputs with themselves
    cross   float64 [G, K, K], float inputs (rows) with int8 inputs (columns); None where nobody asked
    means   float64 [G, K] of the float inputs, and of the int8 inputs
    """

    own: np.ndarray
    cross: np.ndarray | None
    means: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, node: Node, x: tuple[np.ndarray, np.ndarray], quant: Quant, *, crossed: bool) -> Moments:
        """The moments of one layer's inputs, or of those of one of its groups.

        x        the layer's input, or the group's channels of it, float32, and as int8 codes
        quant    of the codes
        crossed  whether `cross` is asked for, too
        """
        positions = _positions(node, x[0].shape)
        real = _taps(node, x[0], positions, 0)
        int8 = _taps(node, x[1], positions, quant.zero_point)
        for view in int8:
            view *= scale_of(quant)
        means = _centre(real), _centre(int8)
        operator = weighted_of(node)
        assert operator is not None
        if operator.channel_axis == 0:
            own, cross = _products(int8, int8), _products(real, int8) if crossed else None
            return cls(own, cross, (means[0].reshape(1, -1), means[1].reshape(1, -1)))

        def each(values: np.ndarray) -> np.ndarray:
            return np.repeat(values, operator.depth_multiplier(node), axis=0)

        own = each(_products_per_channel(int8, int8))
        cross = each(_products_per_channel(real, int8)) if crossed else None
        return cls(own, cross, (each(means[0].T), each(means[1].T)))

    def damped(self, damp: float) -> np.ndarray:
        """`own` plus `damp` times its mean diagonal, so that it can be inverted; float64 [G, K, K]."""
        return self.own + self._diagonal(damp)

    def _diagonal(self, factor: float) -> np.ndarray:
        power = np.maximum(np.einsum("gkk->g", self.own) / self.own.shape[1], 1e-12)
        return factor * power[:, None, None] * np.eye(self.own.shape[1])

    def best_weights(self, weights: np.ndarray, ridge: float) -> np.ndarray:
        """Real weights W [C, K] that minimise E |W x8 - V x|^2 + ridge |W - V|^2."""
        diagonal = self._diagonal(ridge)
        assert self.cross is not None
        if len(self.own) == 1:
            right = weights @ (self.cross[0] + diagonal[0])
            return np.asarray(np.linalg.solve(self.own[0] + diagonal[0], right.T).T)
        right = np.einsum("ck,ckl->cl", weights, self.cross + diagonal)
        return np.asarray(np.linalg.solve(self.own + diagonal, right[..., None])[..., 0])

    def mean_shift(self, weights: np.ndarray, rounded: np.ndarray) -> np.ndarray:
        """What the bias has to add so that the mean output is the float layer's."""
        return np.asarray((weights * self.means[0]).sum(axis=1) - (rounded * self.means[1]).sum(axis=1))


def _positions(node: Node, shape: tuple[int, ...]) -> np.ndarray:
    """Flat output positions (image, row, column) to sample; the same on every run."""
    images, height, width, channels = shape
    operator = weighted_of(node)
    assert operator is not None
    window = operator.window(node)
    height, width = window.output_size(height, width)
    weights = (channels if operator.channel_axis == 0 else 1) * window.kernel[0] * window.kernel[1]
    total = images * height * width
    wanted = min(max(_SAMPLES_PER_WEIGHT * weights, _FEWEST_SAMPLES), _MOST_SAMPLES)
    if total <= wanted:
        return np.arange(total)
    return np.sort(np.random.default_rng(0).choice(total, wanted, replace=False))


def _taps(node: Node, x: np.ndarray, positions: np.ndarray, zero_point: int) -> list[np.ndarray]:
    """What each tap of the kernel sees at the positions, less the zero point: float32 [P, I] per tap."""
    window = operator_of(node).window(node)
    _, height, width, channels = x.shape
    out_height, out_width = window.output_size(height, width)
    image, place = np.divmod(positions, out_height * out_width)
    row, column = np.divmod(place, out_width)
    pixels = x.reshape(-1, channels)
    views = []
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            y = row * window.stride[0] - window.pad[0] + ky * window.dilation[0]
            z = column * window.stride[1] - window.pad[1] + kx * window.dilation[1]
            outside = (y < 0) | (y >= height) | (z < 0) | (z >= width)
            picked = (image * height + np.clip(y, 0, height - 1)) * width + np.clip(z, 0, width - 1)
            view = np.take(pixels, picked, axis=0).astype(np.float32)
            view -= np.float32(zero_point)
            view[outside] = 0
            views.append(view)
    return views


def _centre(views: list[np.ndarray]) -> np.ndarray:
    """Take the mean off each tap's channels, in place; returns the means, float64 [taps, I]."""
    means = np.stack([view.mean(axis=0, dtype=np.float64) for view in views])
    for view, mean in zip(views, means, strict=True):
        view -= mean.astype(np.float32)
    return means


def _products(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """Mean products of all taps and channels, float64 [1, K, K]."""
    left = a[0] if len(a) == 1 else np.concatenate(a, axis=1)
    right = left if a is b else b[0] if len(b) == 1 else np.concatenate(b, axis=1)
    return (left.T @ right).astype(np.float64)[None] / len(left)


def _products_per_channel(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """Mean products of all taps of each channel, float64 [C, K, K]."""
    taps, channels = len(a), a[0].shape[1]
    found = np.empty((channels, taps, taps))
    for k in range(taps):
        for m in range(k if a is b else 0, taps):
            found[:, k, m] = np.einsum("pc,pc->c", a[k], b[m])
            if a is b:
                found[:, m, k] = found[:, k, m]
    return found / len(a[0])
