"""One function per ONNX operator: the node's inputs in, Graph nodes or mere labels out.

Each handler takes a `Call` and returns the `Value` of the node's first output. Operators whose inputs are all
constants never come here; `convert` folds them.
"""

from __future__ import annotations

from collections.abc import Callable

from mbn2c.frontend.operators import elementwise, layers, relabel
from mbn2c.ir.axes import Value
from mbn2c.ops.base.call import Call

Handler = Callable[[Call], Value]

HANDLERS: dict[tuple[str, str], Handler] = {
    ("", "Add"): elementwise.add,
    ("", "AveragePool"): layers.average_pool,
    ("", "BatchNormalization"): elementwise.batch_normalization,
    ("", "Cast"): relabel.cast,
    ("", "Clip"): elementwise.clip,
    ("", "Conv"): layers.conv,
    ("", "Div"): elementwise.div,
    ("", "Dropout"): relabel.dropout,
    ("", "Flatten"): relabel.flatten,
    ("", "Gather"): relabel.gather,
    ("", "Gemm"): layers.gemm,
    ("", "GlobalAveragePool"): layers.global_average_pool,
    ("", "Identity"): relabel.identity,
    ("", "LogSoftmax"): relabel.softmax,
    ("", "MatMul"): layers.matmul,
    ("", "Max"): elementwise.extremum,
    ("", "Min"): elementwise.extremum,
    ("", "Mul"): elementwise.mul,
    ("", "Neg"): elementwise.neg,
    ("", "Pad"): layers.pad,
    ("", "ReduceMean"): layers.reduce_mean,
    ("", "Relu"): elementwise.relu,
    ("", "Reshape"): relabel.reshape,
    ("", "Sigmoid"): relabel.sigmoid,
    ("", "Softmax"): relabel.softmax,
    ("", "Squeeze"): relabel.squeeze,
    ("", "Sub"): elementwise.sub,
    ("", "Sum"): elementwise.sum_all,
    ("", "Transpose"): relabel.transpose,
    ("", "Unsqueeze"): relabel.unsqueeze,
    ("com.microsoft", "FusedConv"): layers.fused_conv,
}
