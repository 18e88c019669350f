"""Axis bookkeeping: which NHWC axes an ONNX value's axes are. Turns Transpose, Reshape, Squeeze into labels.

Every ONNX activation is a pair: one NHWC tensor of the Graph, and for each axis of the ONNX value the group of
NHWC axes it runs over, in row-major order. Axes of extent 1 belong to no group, which makes the form unique: two
values that hold the same tensor in the same order have equal groups. So a layout operator costs nothing, and an
operator that needs another order than it finds is refused rather than computed wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

BATCH, HEIGHT, WIDTH, CHANNEL = 0, 1, 2, 3
NCHW = (BATCH, CHANNEL, HEIGHT, WIDTH)
NHWC = (BATCH, HEIGHT, WIDTH, CHANNEL)
# As tf2onnx pads an image before it takes it apart.
CNHW = (CHANNEL, BATCH, HEIGHT, WIDTH)

# How an input of each rank may be read.
INPUT_LAYOUTS: dict[int, tuple[tuple[int, ...], ...]] = {
    4: (NCHW, NHWC),
    3: ((CHANNEL, HEIGHT, WIDTH), (HEIGHT, WIDTH, CHANNEL)),
    2: ((BATCH, CHANNEL),),
}

Groups = tuple[tuple[int, ...], ...]


class LayoutError(Exception):
    """The axes cannot be relabeled that way; the message completes "... needs" or "... is"."""


@dataclass(frozen=True)
class Value:
    """An ONNX activation.

    tensor   the Graph's tensor
    shape    of the ONNX value, batch fixed to 1
    groups   for each ONNX axis the NHWC axes of extent > 1 it runs over, outermost first
    factors  what a Reshape cut the channels into, as that of a channel shuffle does: extents, outermost first; axis
             CHANNEL + k is factor k then. () if they are whole, as all but layout operators want them
    tail     applied to it in the file and split off, as `Port.tail`
    """

    tensor: str
    shape: tuple[int, ...]
    groups: Groups
    tail: str = ""
    factors: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """The NHWC axes in the order the ONNX value's bytes run over them."""
        return tuple(axis for group in self.groups for axis in group)


def labeled(tensor: str, shape: tuple[int, ...], labels: Sequence[int]) -> Value:
    """The value whose axis k is NHWC axis labels[k]."""
    groups = tuple((label,) if extent > 1 else () for extent, label in zip(shape, labels, strict=True))
    return Value(tensor, shape, groups)


def nhwc_shape(shape: Sequence[int], labels: Sequence[int]) -> tuple[int, int, int, int]:
    """The NHWC shape of a tensor whose ONNX axis k is NHWC axis labels[k]; axes not named have extent 1."""
    extents = [1, 1, 1, 1]
    for extent, label in zip(shape, labels, strict=True):
        extents[label] = extent
    return (extents[0], extents[1], extents[2], extents[3])


def labels_of(value: Value, layouts: Sequence[tuple[int, ...]] = (NCHW, NHWC, CNHW)) -> tuple[int, ...] | None:
    """The first of `layouts` the value's axes agree with, or None."""
    for labels in layouts if not value.factors else ():
        if len(labels) == len(value.groups) and all(
            group in ((), (label,)) for group, label in zip(value.groups, labels, strict=True)
        ):
            return labels
    return None


def transposed(value: Value, permutation: Sequence[int]) -> Value:
    """What ONNX Transpose does: output axis k is input axis permutation[k]."""
    return replace(
        value,
        shape=tuple(value.shape[k] for k in permutation),
        groups=tuple(value.groups[k] for k in permutation),
    )


def reshaped(value: Value, shape: tuple[int, ...], extents: Sequence[int]) -> Value:
    """What ONNX Reshape does, where the new axes are whole groups of the old ones, or factors of the channels.

    shape    the new shape, already free of 0 and -1, with as many elements as before
    extents  the NHWC shape of value.tensor
    raises   LayoutError if a new axis would have to cut another NHWC axis in two
    """
    rest = list(value.order)
    sizes = [*extents[:CHANNEL], *(value.factors or extents[CHANNEL:])]
    groups: list[list[int]] = []
    for extent in shape:
        groups.append([])
        covered = 1
        while covered < extent and rest:
            axis, missing = rest[0], extent // covered
            if axis >= CHANNEL and covered * missing == extent and missing < sizes[axis] and sizes[axis] % missing == 0:
                # The rest of the factor is one of its own, behind it.
                sizes[axis : axis + 1] = [missing, sizes[axis] // missing]
                groups = [[other + (other > axis) for other in group] for group in groups]
                rest = [axis, axis + 1, *(other + (other > axis) for other in rest[1:])]
            groups[-1].append(rest.pop(0))
            covered *= sizes[axis]
        if covered != extent:
            raise LayoutError(f"a reshape of {list(value.shape)} to {list(shape)} that cuts or mixes axes")
    groups, factors = _merged(groups, sizes[CHANNEL:])
    made = replace(value, shape=shape, groups=tuple(map(tuple, groups)), factors=factors)
    if factors and any(min(group) < CHANNEL <= max(group) for group in groups if group) and blocks_of(made) is None:
        raise LayoutError(f"a reshape of {list(value.shape)} to {list(shape)} that cuts or mixes axes")
    return made


def blocks_of(value: Value) -> tuple[tuple[int, int], bool] | None:
    """Of a value whose rows and columns run over a factor of the channels each, as the last Reshape of a pixel shuffle
    makes it: the extents of these factors, and whether the channels that remain are the outermost factor. Else None.
    """
    of_pixels = {group[0]: group[1:] for group in value.groups if group and group[0] < CHANNEL}
    others = [group for group in value.groups if group and group[0] >= CHANNEL]
    inner = [*of_pixels.get(HEIGHT, ()), *of_pixels.get(WIDTH, ())]
    is_outermost = others == [(CHANNEL,)]
    # Where one channel remains, or a pixel stays one high or wide, there is no factor for it.
    first = CHANNEL + is_outermost
    is_known = len(others) <= 1 and len(value.factors) == len(inner) + len(others)
    if not inner or not is_known or inner != list(range(first, first + len(inner))):
        return None
    rows, columns = (
        value.factors[of_pixels[axis][0] - CHANNEL] if of_pixels.get(axis) else 1 for axis in (HEIGHT, WIDTH)
    )
    return (rows, columns), is_outermost


def unblocked(value: Value, tensor: str) -> Value:
    """Such a value as one of a tensor whose pixels are moved."""
    labels = [group[0] if group and group[0] < CHANNEL else CHANNEL for group in value.groups]
    return replace(labeled(tensor, value.shape, labels), tail=value.tail)


def _merged(groups: list[list[int]], factors: list[int]) -> tuple[list[list[int]], tuple[int, ...]]:
    """Factors of the channels that lie behind each other in one axis, in their order, are one; one is none."""
    factor = 0
    while factor + 1 < len(factors):
        pair = [CHANNEL + factor, CHANNEL + factor + 1]
        if not any(pair == group[at : at + 2] for group in groups for at in range(len(group))):
            factor += 1
            continue
        factors[factor : factor + 2] = [factors[factor] * factors[factor + 1]]
        groups = [[axis - (axis > pair[0]) for axis in group if axis != pair[1]] for group in groups]
    return groups, tuple(factors) if len(factors) > 1 else ()


def port_permutation(value: Value) -> tuple[int, ...]:
    """The Port's permutation: for each ONNX axis one NHWC axis, axes of extent 1 given the ones left over.

    raises  LayoutError if an ONNX axis runs over several NHWC axes, or there are more than four
    """
    if value.factors:
        raise LayoutError(f"an output of shape {list(value.shape)} in which channels are cut into {value.factors}")
    if len(value.groups) > 4 or any(len(group) > 1 for group in value.groups):
        raise LayoutError(f"an output of shape {list(value.shape)} that is a flattened feature map")
    spare = [axis for axis in NCHW if axis not in value.order]
    return tuple(group[0] if group else spare.pop(0) for group in value.groups)
