"""Options -> who says which activations have 16 bits, and which weights four."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.errors import UsageError
from mbn2c.network.options import RANDOM, WEIGHTS_4, WEIGHTS_8, NetworkOptions
from mbn2c.quantize.four_bits import ChooseFourBits, where_they_cost_little, wherever_they_may, within_flash
from mbn2c.quantize.int16 import AUTO, ChooseInt16, PlanOf, named, within_ram
from mbn2c.quantize.search import WeightsCurve
from mbn2c.quantize.share_multipliers import ChooseSharing, sharing_within_flash

_CURVE = "--weights-curve"


@dataclass(frozen=True)
class Bits:
    """Who says which activations are int16, which layers' weights have four bits, and whether all share multipliers;
    None: nobody. curve: which networks between 8 and four bits are judged besides."""

    int16: ChooseInt16 | None
    four_bits: ChooseFourBits | None
    sharing: ChooseSharing | None
    curve: WeightsCurve | None


def bits_of(options: NetworkOptions, plan_of: PlanOf | None) -> Bits:
    """As the options say; plan_of: as of `read_network`."""
    four_bits = _four_bits(options, plan_of)
    curve = _curve(options, four_bits, plan_of)
    return Bits(_int16(options, plan_of), four_bits, _sharing(options, plan_of), curve)


def _curve(options: NetworkOptions, four_bits: ChooseFourBits | None, plan_of: PlanOf | None) -> WeightsCurve | None:
    """Which networks between 8 and four bits are judged besides; None: none."""
    if not options.weights_curve:
        return None
    if options.weights_curve < 2:
        raise UsageError(f"{_CURVE} {options.weights_curve} is no curve", hint="at least 2: all in 8 bits, all in four")
    if four_bits is None:
        raise UsageError(
            f"{_CURVE} needs weights that may have four bits", hint="--weights auto, --weights 4 or --flash-limit BYTES"
        )
    if options.calib in (None, RANDOM):
        raise UsageError(f"{_CURVE} needs images to judge with", hint="--calib FOLDER; part of them is held back")
    assert plan_of is not None, "nobody says what a plan takes"
    return WeightsCurve(options.weights_curve, plan_of)


def _int16(options: NetworkOptions, plan_of: PlanOf | None) -> ChooseInt16 | None:
    """Who says which activations are int16; None: nobody, all are int8."""
    if options.int16 != (AUTO,):
        return named(options.int16) if options.int16 else None
    assert plan_of is not None, "nobody says what a plan takes"
    return within_ram(plan_of)


def _four_bits(options: NetworkOptions, plan_of: PlanOf | None) -> ChooseFourBits | None:
    """Who says which layers' weights have four bits; None: nobody, all have eight."""
    if options.weights in (WEIGHTS_8, WEIGHTS_4):
        return wherever_they_may if options.weights == WEIGHTS_4 else None
    if options.flash_limit is not None:
        assert plan_of is not None, "nobody says what a plan takes"
        return within_flash(plan_of, options.flash_limit)
    return where_they_cost_little if options.weights == AUTO else None


def _sharing(options: NetworkOptions, plan_of: PlanOf | None) -> ChooseSharing | None:
    """Who says whether all layers share few multipliers; None: nobody, each channel has its own."""
    if options.flash_limit is None or options.weights == WEIGHTS_8:
        return None
    assert plan_of is not None, "nobody says what a plan takes"
    return sharing_within_flash(plan_of, options.flash_limit)
