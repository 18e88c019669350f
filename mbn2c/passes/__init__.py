"""Imported Graph -> lowered Graph: what ONNX spells in many nodes becomes the few operators that kernels know.

The list below is the order, with its reasons; the laws of `ir.check` are asked after each pass.
"""

from __future__ import annotations

from collections.abc import Callable

from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.limits import refuse_long_graphs, refuse_long_plans
from mbn2c.ops import OPERATORS
from mbn2c.passes.arrange_channels import arrange_channels
from mbn2c.passes.fold_batch_norm import fold_batch_norm
from mbn2c.passes.fold_channel_order import fold_channel_order
from mbn2c.passes.fold_crop import fold_crop
from mbn2c.passes.fold_pad import fold_pad
from mbn2c.passes.fuse_activation import fuse_activation
from mbn2c.passes.lower_operators import lower_operators
from mbn2c.passes.move_before_copies import move_before_copies
from mbn2c.passes.recognise_operators import recognise_operators
from mbn2c.passes.remove_constant_channels import remove_constant_channels

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    recognise_operators,  # before anything else takes one of the nodes that an operator is spelt in
    move_before_copies,  # so that the layer before a rearrangement takes the batch norm and the clamp behind it
    fold_pad,  # now: a batch norm may move across a convolution only when its pads are known
    fold_batch_norm,  # before activations are fused: y = s * conv + t needs the bare convolution
    lower_operators,  # what could not be folded becomes a 1x1 depthwise convolution, ...
    fuse_activation,  # ... which can carry an activation as any other
    fold_crop,  # now: nothing is left between a crop and the layer that makes what it leaves out
    arrange_channels,  # before the order that it leaves is folded
    fold_channel_order,  # now: what stands between it and the weights is as little as it gets
    remove_constant_channels,  # last: only now weights, biases and clamps are final, so ranges are tight
)


def run_passes(graph: Graph) -> Graph:
    """Bring an imported Graph to stage "lowered", of operators that say so.

    raises  ModelError if something cannot be expressed exactly
    """
    check(refuse_long_graphs(graph), "imported", OPERATORS)
    for run in PASSES:
        graph = check(run(graph), "imported", OPERATORS)
    return refuse_long_plans(check(graph, "lowered", OPERATORS))
