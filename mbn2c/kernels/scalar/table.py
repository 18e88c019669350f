"""Plain C99 kernels: the floor for every core, and the fallback of every other ISA. Each operator says its own."""

from __future__ import annotations

from mbn2c.ir.kernel import Kernel, Params, Rates, ScalarKernel
from mbn2c.ops import OPERATORS

# Not fitted: a core with faster kernels leaves it the small layers, and one without has nothing to choose from.
RATES = Rates(1.0, 7.0, 140.0, 0.1, 0.5)
# With int16, between what Cortex-M0+ and RV32IMC count, which have no other kernels for it (a requantization takes 220
# and 115 there, a multiplication 10 and 7); by the C function's name. Pools have no multiplications: 2x2 and 3x3.
_INT16_RATES = {
    name: Rates(mac, output, 140.0, 0.1, 0.5)
    for name, mac, output in (
        ("add", 0.0, 34.0),
        ("average_pool2d", 0.0, 160.0),
        ("concat", 0.0, 100.0),
        ("conv2d", 8.5, 160.0),
        ("depthwise_conv2d", 13.0, 160.0),
        ("global_average_pool", 0.0, 20.0),
        ("lookup", 0.0, 40.0),
        ("max_pool2d", 0.0, 350.0),
        ("mul", 0.0, 100.0),
    )
}


def row_of(op: str, kernel: ScalarKernel) -> Kernel:
    """The table row of an operator's own C kernel."""
    dtype, suffix = ("s16", "_s16") if kernel.takes_int16 else ("s8", "")
    return Kernel(
        op,
        "scalar",
        f"mbn_{kernel.name}_{dtype}_scalar",
        kernel.params.name,
        f"scalar/{kernel.name}{suffix}.c",
        kernel.pack,
        _INT16_RATES[kernel.name] if kernel.takes_int16 else RATES,
        accepts=kernel.accepts,
        scratch_bytes=kernel.scratch_bytes,
        accumulates=kernel.accumulates,
        takes_int16=kernel.takes_int16,
        weight_bits=kernel.weight_bits,
        reads_slices=kernel.reads_slices,
        writes_slices=kernel.writes_slices,
        wants_place=kernel.wants_place,
        headers=kernel.headers,
    )


KERNELS = tuple(row_of(name, kernel) for name, operator in OPERATORS.items() for kernel in operator.scalar_kernels())


def params_structs() -> list[Params]:
    """The params structs of these kernels, each once."""
    return list(
        {kernel.params.name: kernel.params for one in OPERATORS.values() for kernel in one.scalar_kernels()}.values()
    )


def functions() -> list[Kernel]:
    """One row for each C function of these kernels."""
    return list({kernel.function: kernel for kernel in KERNELS}.values())
