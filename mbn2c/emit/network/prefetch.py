"""Layers whose weights lie apart -> the C that asks a function of the user's for them, before each call."""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.emit.network.steps import array_prefix
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels.sections import Sections


def prefetch_calls(plan: Plan, kernels: Mapping[str, Kernel], prefix: str, sections: Sections) -> dict[str, str]:
    """Array of weights, without the prefix -> the C expression that gives its address for a call.

    What is named as the next one is that of the next step of the loop which has some, the first behind the last: rows
    go down a loop, and begin again at its top.
    """
    found = {}
    for loop in plan.loops:
        apart = [call for call in loop.calls if call.node in sections]
        for call, after in zip(apart, [*apart[1:], *apart[:1]], strict=True):
            for way in range(len(kernels[call.node].ways)):
                name = f"{array_prefix(call.step, way)}_weights"
                # Of alternatives the same one runs next, if that step has as many.
                other = way if way < len(kernels[after.node].ways) else 0
                found[name] = (
                    f"{prefix}_prefetch({_range(prefix, call.step, way)}, {_range(prefix, after.step, other)})"
                )
    return found


def _range(prefix: str, step: int, way: int) -> str:
    name = f"{prefix}_{array_prefix(step, way)}_weights"
    return f"{name}, sizeof {name}"
