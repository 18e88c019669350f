"""Model file and images -> an int8 Graph that equals ONNX Runtime on every tensor, and what is known of its quality."""

from __future__ import annotations

from collections.abc import Sequence

from threadpoolctl import threadpool_limits

from mbn2c.frontend.prequantized.model import is_prequantized
from mbn2c.network.bits import bits_of
from mbn2c.network.float_network import float_network
from mbn2c.network.network import Network
from mbn2c.network.options import NetworkOptions
from mbn2c.network.prequantized_network import prequantized_network
from mbn2c.progress import Progress
from mbn2c.quantize.int16 import PlanOf


def read_network(
    options: NetworkOptions, labels: Sequence[str], progress: Progress, plan_of: PlanOf | None = None
) -> Network:
    """The int8 network of a float model or of a prequantized one.

    labels   class names; empty: not known
    plan_of  int8 Graph -> how it will be planned; `int16` "auto" asks how much RAM it takes, a limit how much flash,
             and `recompute` None whether it fits

    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    # One thread for numpy's products: threads that wait for each other cost more than they save on matrices of this
    # size, and sums would be rounded another way on a machine with more cores.
    with threadpool_limits(limits=1, user_api="blas"):
        if is_prequantized(options.model):
            return prequantized_network(options, labels, progress)
        return float_network(options, labels, progress, bits_of(options, plan_of), plan_of)
