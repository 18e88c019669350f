"""int8 Graph -> int8 Graph with better rounded weights: each layer is fitted to what the float layer computes.

Layer by layer from the input on, with the inputs the int8 network really gives it, the int8 weights W minimise
E |W x8 + b - (V x + c)|^2 over the calibration images (x8, x: inputs of the int8 and the float layer; V, c: float
weights). Only second moments of the inputs are needed, nothing is trained: the best real weights by ridge regression,
then rounding column by column with the error moved into the columns not rounded yet, then single steps up or down as
long as one helps. The bias takes the mean error. Scales are chosen first and stay: they are proved.

Source: Frantar et al., GPTQ (2022) and Optimal Brain Compression (2022) for the rounding; Nagel et al., Up or Down?
(2020) for the objective and Data-Free Quantization (2019) for the empirical bias correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.numerics import quantize_linear, weight_range
from mbn2c.ops import weighted_of
from mbn2c.ops.base.quants import scale_of
from mbn2c.ops.base.weighted import Weighted, wanted_weights
from mbn2c.progress import Progress
from mbn2c.quantize.layers import run_float, run_int8
from mbn2c.quantize.moments import Moments

# Weights whose errors are moved on together.
_BLOCK = 64
# Where the largest weight covered decides about much, these times it are tried.
_NEAR_CLIPS = (0.9, 1.0, 1.1)
_CLIPS = {
    8: np.array([1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6]),
    # Where steps are as coarse as that, the largest weights are worth less than a finer step for all others.
    4: np.linspace(1.0, 0.3, 29),
}


@dataclass(frozen=True)
class Fit:
    """How layers are fitted.

    ridge   move the real-valued weights to make up for errors of the layers before, held back this strongly, in
            units of the inputs' mean power; None: do not move them
    damp    what rounding adds to the diagonal of the second moments, in the same units
    clip    search the largest weight of each channel that its int8 scale covers
    round   move rounding errors between the weights of a channel; False: each to the nearest step
    """

    ridge: float | None = 30.0
    damp: float = 0.1
    clip: bool = True
    round: bool = True


def reconstruct(graph: Graph, int8_graph: Graph, inputs: np.ndarray, fit: Fit, progress: Progress) -> Graph:
    """The int8 Graph with every layer's weights and biases fitted.

    graph       the float Graph that `int8_graph` was made from
    inputs      float32 [N, H, W, C], calibration images as the network sees them
    """
    start = graph.inputs[0].tensor
    quants = {name: tensor.quant for name, tensor in int8_graph.tensors.items() if tensor.quant is not None}
    first = quants[start]
    floats, ints = ({start: inputs}, {start: quantize_linear(inputs, scale_of(first), first.zero_point)})
    last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
    by_name = {node.name: node for node in int8_graph.nodes}
    nodes = []
    with ThreadPoolExecutor(max_workers=1) as aside:
        for node in progress(graph.nodes, "fit weights", len(graph.nodes)):
            int8_node, output = by_name[node.name], node.outputs[0]
            arrays = [name for name in node.inputs if name in floats]
            # The float side does not wait for the weights.
            float_output = aside.submit(run_float, node, graph, [floats[name] for name in arrays])
            if (operator := weighted_of(node)) is not None:
                x = (floats[node.inputs[0]], ints[node.inputs[0]])
                int8_node, int8_graph = _fit_layer(operator, node, graph, int8_graph, quants, x, fit)
            nodes.append(int8_node)
            ints[output] = run_int8(int8_node, int8_graph, [ints[name] for name in arrays])
            floats[output] = float_output.result()
            for name in arrays:
                if last_reader[name] == node.name:
                    del floats[name], ints[name]
    return int8_graph.rebuild(nodes=nodes)


def _fit_layer(
    operator: Weighted,
    node: Node,
    graph: Graph,
    int8_graph: Graph,
    quants: Mapping[str, Quant],
    x: tuple[np.ndarray, np.ndarray],
    fit: Fit,
) -> tuple[Node, Graph]:
    """The int8 node with fitted weights, and the int8 Graph that holds them."""
    weights, bias = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
    # Each group of channels is a layer of its own, which reads its share of the input.
    groups = operator.groups(node)
    shares = zip(*(np.split(array, groups, axis=-1) for array in x), strict=True)
    rows = np.split(operator.rows(weights), groups)
    moments = [Moments.of(node, share, quants[node.inputs[0]], crossed=fit.ridge is not None) for share in shares]
    targets = [m.best_weights(r, fit.ridge) if fit.ridge is not None else r for m, r in zip(moments, rows, strict=True)]
    # Damped so that float32 is enough; half the time.
    hessians = [one.damped(fit.damp).astype(np.float32) for one in moments]
    bits = wanted_weights(node, quants).bits
    largest = np.concatenate(
        [
            _largest_covered(target, hessian, fit, bits) if fit.clip else np.abs(target).max(axis=1)
            for target, hessian in zip(targets, hessians, strict=True)
        ]
    )
    proved = operator.choose_scales(node, graph, quants, np.maximum(largest, 1e-12))
    w_scale = proved.w_scale.astype(np.float64)
    scales = np.split(w_scale[:, None], groups)
    parts = [
        _rounded((target / scale).astype(np.float32), hessian, fit, weight_range(bits))
        for target, scale, hessian in zip(targets, scales, hessians, strict=True)
    ]
    shifts = [m.mean_shift(r, part * scale) for m, r, part, scale in zip(moments, rows, parts, scales, strict=True)]
    rounded, shift = np.concatenate(parts), np.concatenate(shifts)
    int8_bias = np.rint((bias + shift) / (np.float64(scale_of(quants[node.inputs[0]])) * w_scale)).astype(np.int32)
    try:
        int8_weights = operator.from_rows(rounded, weights.shape).astype(np.int8)
        int8_node, tensors = operator.quantize_with(node, quants, proved, int8_weights, int8_bias)
    except QuantError:
        return next(n for n in int8_graph.nodes if n.name == node.name), int8_graph
    return int8_node, int8_graph.rebuild(tensors=tensors)


def fitted_rows(weights: np.ndarray, moments: Moments, fit: Fit, bits: int) -> np.ndarray:
    """A layer's weights [C, K] in so many bits, fitted to inputs of these moments, as real numbers."""
    hessian = moments.damped(fit.damp).astype(np.float32)
    largest = _largest_covered(weights, hessian, fit, bits)
    scale = np.maximum(largest, 1e-12)[:, None] / weight_range(bits)[1]
    return _rounded((weights / scale).astype(np.float32), hessian, fit, weight_range(bits)) * scale


def _rounded(wanted: np.ndarray, hessian: np.ndarray, fit: Fit, limits: tuple[int, int]) -> np.ndarray:
    """Weights in steps, [C, K], as integers within the limits."""
    if fit.round:
        return descend(wanted, round_with_feedback(wanted, hessian, limits), hessian, limits)
    return np.clip(np.rint(wanted), *limits)


def _largest_covered(target: np.ndarray, hessian: np.ndarray, fit: Fit, bits: int) -> np.ndarray:
    """The largest weight per row [C] that its scale shall cover; where steps are coarse, as fitted weights like it."""
    if bits == 8:
        return _best_clip(target, hessian, bits)
    # With what no neighbour makes up for, which rounding will move into them.
    alone = hessian * np.eye(hessian.shape[1], dtype=hessian.dtype)
    near = [factor * np.maximum(_best_clip(target, alone, bits), 1e-12) for factor in _NEAR_CLIPS]
    errors = []
    for largest in near:
        scale = (largest[:, None] / weight_range(bits)[1]).astype(np.float32)
        rounded = _rounded((target / scale).astype(np.float32), hessian, fit, weight_range(bits))
        errors.append(_quadratic((target - rounded * scale).astype(np.float32), hessian))
    return np.choose(np.argmin(errors, axis=0), near)


def _best_clip(weights: np.ndarray, hessian: np.ndarray, bits: int) -> np.ndarray:
    """The largest weight per row [C] whose scale gives the least error when weights are rounded to the nearest step."""
    largest, limits, clips = np.abs(weights).max(axis=1), weight_range(bits), _CLIPS[bits]
    weights = weights.astype(np.float32)
    errors = []
    for clip in clips:
        scale = (np.maximum(largest * clip, 1e-30)[:, None] / limits[1]).astype(np.float32)
        error = weights - np.clip(np.rint(weights / scale), *limits) * scale
        errors.append(_quadratic(error, hessian))
    return largest * clips[np.argmin(errors, axis=0)]


def _quadratic(error: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """e H e per row [C]."""
    return (_times(error, hessian) * error).sum(axis=1)


def _times(error: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    return error @ hessian[0] if len(hessian) == 1 else np.einsum("ck,ckl->cl", error, hessian)


def round_with_feedback(target: np.ndarray, hessian: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    """Integers near `target` [C, K] with small e H e per row: GPTQ, the columns of largest power first.

    hessian  [1, K, K] for all rows, or [C, K, K]
    limits   the least and the greatest of them
    """
    order = np.argsort(-np.einsum("gkk->k", hessian), kind="stable")
    # Its rows say where the error of a column goes. One row of `rest` per weight.
    upper = np.ascontiguousarray(_inverse_factor(hessian[:, order][:, :, order]).transpose(1, 2, 0))
    rest = np.ascontiguousarray(target.T[order])
    rounded = np.empty_like(rest)
    block = _BLOCK if len(hessian) == 1 else len(rest)
    for start in range(0, len(rest), block):
        end = min(start + block, len(rest))
        errors = np.empty((end - start, rest.shape[1]), rest.dtype)
        for k in range(start, end):
            rounded[k] = np.clip(np.rint(rest[k]), *limits)
            errors[k - start] = (rest[k] - rounded[k]) / upper[k, k]
            rest[k + 1 : end] -= upper[k, k + 1 : end] * errors[k - start]
        if end < len(rest):
            rest[end:] -= upper[start:end, end:, 0].T @ errors
    result = np.empty_like(rounded)
    result[order] = rounded
    return np.ascontiguousarray(result.T)


def _inverse_factor(hessian: np.ndarray) -> np.ndarray:
    """The upper Cholesky factor U of the inverse, U'U [G, K, K], without the inverse itself."""
    # Turned around, the factor of the matrix is the upper one, and its inverse is that of the inverse.
    factor = np.linalg.cholesky(np.ascontiguousarray(hessian[:, ::-1, ::-1]))
    return _inverse_of_lower(factor)[:, ::-1, ::-1]


def _inverse_of_lower(factor: np.ndarray) -> np.ndarray:
    """The inverse of lower triangular matrices [G, K, K], by halves."""
    size = factor.shape[1]
    if size <= _BLOCK:
        return np.linalg.inv(factor)
    half = size // 2
    first, last = _inverse_of_lower(factor[:, :half, :half]), _inverse_of_lower(factor[:, half:, half:])
    result = np.zeros_like(factor)
    result[:, :half, :half], result[:, half:, half:] = first, last
    result[:, half:, :half] = -last @ (factor[:, half:, :half] @ first)
    return result


def descend(
    target: np.ndarray, rounded: np.ndarray, hessian: np.ndarray, limits: tuple[int, int], sweeps: int = 3
) -> np.ndarray:
    """Single steps of +1 or -1 per row while they lower e H e, column after column."""
    rounded = rounded.copy()
    error = rounded - target
    slope = _times(error, hessian)
    for _ in range(sweeps):
        moved = 0
        for k in range(target.shape[1]):
            diagonal = hessian[:, k, k]
            step = np.clip(np.rint(rounded[:, k] - slope[:, k] / diagonal), *limits) - rounded[:, k]
            changed = np.flatnonzero(step)
            if not len(changed):
                continue
            moved += len(changed)
            rounded[changed, k] += step[changed]
            column = hessian[0, k] if len(hessian) == 1 else hessian[changed, k]
            slope[changed] += step[changed, None] * column
        if not moved:
            break
    return rounded
