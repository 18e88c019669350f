"""The operators by name; a new one is a file here, a line here and a template."""

from __future__ import annotations

from mbn2c.ops.add import Add
from mbn2c.ops.average_pool2d import AveragePool2d
from mbn2c.ops.clamp import Clamp
from mbn2c.ops.conv2d import Conv2d
from mbn2c.ops.depthwise_conv2d import DepthwiseConv2d
from mbn2c.ops.fully_connected import FullyConnected
from mbn2c.ops.lookup import Lookup
from mbn2c.ops.operator import Operator
from mbn2c.ops.sum import Sum

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (Conv2d(), DepthwiseConv2d(), FullyConnected(), Add(), AveragePool2d(), Clamp(), Lookup(), Sum())
}
