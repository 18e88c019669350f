"""Two networks' values of one output -> how alike they are: on one image, and over all of them, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbn2c.files.typed_json import Count, Real
from mbn2c.tasks.classification.outputs import CLASSES, LOGITS, SOFTMAXES, VECTOR, OutputSpec
from mbn2c.tasks.noise import noise_json, noise_of
from mbn2c.tasks.statistics import clustered_share, mean_interval
from mbn2c.tasks.tails import LARGEST_LOGIT, TAILS, apply_tail

Json = dict[str, Any]
TOP1, BY_POSITION, SIGN, COSINE, SQNR = METRICS = (
    "top1_agreement",
    "position_agreement",
    "sign_agreement",
    "cosine",
    "sqnr_db",
)


@dataclass(frozen=True)
class Likeness:
    """How alike two networks' values of one output are on one image.

    same           decisions that are the same, of OutputSpec.decisions
    cosine         of the angle between them; None where one of them is 0 everywhere
    signal, noise  sums of squares: of the expected values, and of the differences
    largest_error  the largest difference
    """

    same: Count
    cosine: Real | None
    signal: Real
    noise: Real
    largest_error: Real


def compare(output: OutputSpec, expected: np.ndarray, found: np.ndarray) -> Likeness:
    """Values before the tail, float [1, H, W, C]."""
    same = int((output.decide(expected) == output.decide(found)).sum()) if output.kind != VECTOR else 0
    wanted, got = expected.astype(np.float64), found.astype(np.float64)
    if output.tail in SOFTMAXES:
        wanted, got = (values - values.mean(axis=3, keepdims=True) for values in (wanted, got))
    if output.tail and TAILS[output.tail].is_compared_after:
        wanted, got = (apply_tail(output.tail, values) for values in (wanted, got))
    if output.tail == "sigmoid":
        got = np.clip(got, -LARGEST_LOGIT, LARGEST_LOGIT)
    noise, power = noise_of(wanted, got), float((got**2).sum())
    lengths = float(np.sqrt(noise.signal * power))
    cosine = float((wanted * got).sum()) / lengths if noise.signal > 0 and power > 0 else None
    return Likeness(same, cosine, noise.signal, noise.noise, noise.largest_error)


def metric_of(output: OutputSpec) -> str:
    """What it is judged by, one of METRICS: a vector of one value has no direction, so only its SQNR."""
    if output.kind == CLASSES:
        return TOP1 if output.decisions == 1 else BY_POSITION
    if output.kind == LOGITS:
        return SIGN
    return COSINE if np.prod(output.nhwc) > 1 else SQNR


def described(output: OutputSpec) -> Json:
    """What it is and what it is judged by, as report.json and `verify --json` have it; shape: [1, H, W, C]."""
    return {
        "name": output.name,
        "shape": list(output.nhwc),
        "tail": output.tail,
        "kind": output.kind,
        "kind_because": output.reason,
        "kind_assumed": output.is_assumed,
        "metric": metric_of(output),
        "decisions_per_image": output.decisions,
    }


def summary(output: OutputSpec, images: Sequence[Likeness]) -> Json:
    """One output over all images; without images (no float model) every figure is None.

    value        of the metric: a share of the decisions, or the mean cosine, or dB
    interval_95  of the value; decisions on the same image are not counted as independent. None for dB
    """
    metric, cosines = metric_of(output), [image.cosine for image in images if image.cosine is not None]
    if np.prod(output.nhwc) == 1:
        cosines = []  # a single number has a sign and no direction
    noise = noise_json(images)
    value: float | None = noise["sqnr_db"] if metric == SQNR else None
    interval: tuple[float, float] | None = None
    if output.decisions and images:
        share = clustered_share([image.same for image in images], output.decisions)
        value, interval = share.value, share.interval
    elif metric == COSINE and cosines:
        value, interval = sum(cosines) / len(cosines), mean_interval(cosines, -1.0, 1.0)
    return {
        **described(output),
        "value": value,
        "interval_95": list(interval) if interval else None,
        "cosine": sum(cosines) / len(cosines) if cosines else None,
        "smallest_cosine": min(cosines, default=None),
        **noise,
    }


def top1_agreement(outputs: Sequence[Mapping[str, Any]], main: int) -> tuple[float | None, list[float] | None]:
    """Of the main output, with its interval; two Nones where it makes no choice between classes.

    A single logit, or one at each position, chooses between two.
    """
    found = outputs[main]
    chooses = found["metric"] in (TOP1, BY_POSITION) or (found["metric"] == SIGN and found["shape"][3] == 1)
    return (found["value"], found["interval_95"]) if chooses else (None, None)
