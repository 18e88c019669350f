"""Gates that any task may have: signal to noise at the outputs, and where most of the noise is from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c.errors import GateError

_NAMED_LAYERS = 3


def most_costly(costs: Mapping[str, float]) -> str:
    """Where to look first, "" if nothing is known; costs: share of the rounding noise at the outputs, by layer."""
    if not costs:
        return ""
    worst = sorted(costs, key=lambda name: -costs[name])[:_NAMED_LAYERS]
    names = ", ".join(f"{name} ({100 * costs[name]:.0f} %)" for name in worst)
    return f"most of the rounding noise at the output is from {names}"


def check_has_float(largest_error: float | None, gate: str) -> None:
    """Raises GateError where outputs have no error because there is no float model."""
    if largest_error is None:
        raise GateError(
            f"{gate} compares with the float model, and this model is prequantized",
            hint=f"verify without {gate}, or build from the float model",
        )


def noisiest(outputs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The output of the lowest SQNR; None where none has any noise, or nothing to compare with.

    outputs  with `sqnr_db`, None without signal or noise, and `largest_error`, None without a float model
    """
    noisy = [one for one in outputs if one["largest_error"]]
    return min(noisy, key=_sqnr, default=None)


def fails_sqnr(outputs: Sequence[Mapping[str, Any]], least_db: float) -> Mapping[str, Any] | None:
    """The output of the lowest SQNR if that is below `least_db`."""
    worst = noisiest(outputs)
    return worst if worst is not None and _sqnr(worst) < least_db else None


def _sqnr(one: Mapping[str, Any]) -> float:
    """In dB; of noise without a signal as low as can be."""
    return -math.inf if one["sqnr_db"] is None else float(one["sqnr_db"])


def check_sqnr(outputs: Sequence[Mapping[str, Any]], least_db: float, costs: Mapping[str, float]) -> None:
    """The gate of `--min-sqnr`, which every output must pass.

    outputs  as of `noisiest`, with `name`
    costs    share of the rounding noise at the outputs, by layer, as far as known
    raises   GateError naming the output, and the layers that cost most
    """
    worst = fails_sqnr(outputs, least_db)
    if worst is not None:
        sqnr = "has noise only" if worst["sqnr_db"] is None else f"has {worst['sqnr_db']:.1f} dB"
        raise GateError(
            f"output '{worst['name']}' {sqnr} of signal to noise against the float model; {least_db:g} dB is asked for",
            where=most_costly(costs),
            hint="build with --quantize best or more --calib images",
        )
