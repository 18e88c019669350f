"""Intervals by the equations that define them, and by hand."""

from __future__ import annotations

import math
import statistics

import pytest

from mbn2c.tasks.statistics import (
    Share,
    clustered_share,
    decibel,
    drop_text,
    is_gain,
    mean_interval,
    paired_drop,
)

Z = statistics.NormalDist().inv_cdf(0.975)


@pytest.mark.parametrize("hits, total", [(1, 10), (5, 10), (9, 10), (37, 1000), (2.5, 7.5)])
def test_wilson(hits: float, total: float) -> None:
    """At either end the observed share is just z standard errors of that end away."""
    share = Share(hits, total)
    assert share.value == hits / total
    low, high = share.interval
    assert 0 < low < share.value < high < 1
    for end in (low, high):
        assert abs(share.value - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / total))


@pytest.mark.parametrize("total", [1, 5, 200])
def test_wilson_at_the_ends(total: int) -> None:
    edge = Z * Z / (total + Z * Z)
    assert Share(0, total).interval == (pytest.approx(0, abs=1e-12), pytest.approx(edge))
    assert Share(total, total).interval == (pytest.approx(1 - edge), pytest.approx(1))
    assert Share(0, total).interval[0] >= 0 and Share(total, total).interval[1] <= 1


@pytest.mark.parametrize(
    "hits, each, share, effective",
    [
        ([1, 0, 1, 1], 1, 3 / 4, 4),
        ([4, 4, 4], 4, 1, 3),  # no two images differ: so many as there are images
        ([2, 2, 2, 2], 4, 1 / 2, 4),
        ([4, 0, 4, 0], 4, 1 / 2, 4),  # all of the variance lies between images: 0.25 / (1 / 3 / 4) = 3, but 4 images
        # shares 0.4, 0.6, 0.4, 0.6: variance 0.04 / 3, of the mean 0.01 / 3, 0.25 / that is 75, but 40 answers
        ([4, 6, 4, 6], 10, 1 / 2, 40),
        # shares 0.2, 0.8, 0.2, 0.8: variance 0.36 / 3, of the mean 0.03, 0.25 / 0.03
        ([2, 8, 2, 8], 10, 1 / 2, 0.25 / 0.03),
        # shares 0.5, 0.1: p 0.3, variance 0.08, of the mean 0.04, 0.21 / 0.04
        ([5, 1], 10, 0.3, 0.21 / 0.04),
        ([7], 10, 0.7, 1),
    ],
)
def test_answers_of_one_image_count_as_fewer(hits: list[int], each: int, share: float, effective: float) -> None:
    found = clustered_share(hits, each)
    assert found.total == pytest.approx(effective) and found.value == pytest.approx(share)


def test_interval_of_a_mean() -> None:
    values = [0.2, 0.5, 0.6, 0.9]
    half = Z * statistics.stdev(values) / 2
    assert mean_interval(values, -1, 1) == (pytest.approx(0.55 - half), pytest.approx(0.55 + half))
    assert mean_interval(values, 0.5, 0.6) == (0.5, 0.6)
    assert mean_interval(values[:2], -9, 9) is not None
    assert mean_interval(values[:1], -9, 9) is None and mean_interval([], -9, 9) is None


@pytest.mark.parametrize("losses, gains, total", [(0, 0, 100), (3, 1, 100), (1, 3, 100), (10, 0, 50), (1, 0, 1)])
def test_drop(losses: int, gains: int, total: int) -> None:
    """Wald: the standard error of a mean of outcomes +1, -1 and 0, each count raised by one half."""
    drop, upper = paired_drop(losses, gains, total)
    assert drop == (losses - gains) / total
    plus, minus = (losses + 0.5) / total, (gains + 0.5) / total
    variance = plus + minus - (plus - minus) ** 2
    assert upper - drop == pytest.approx(Z * math.sqrt(max(variance, 0) / total))


@pytest.mark.parametrize(
    "drop, upper, text",
    [
        (0.0123, 0.0345, "accuracy drops by 1.23 %, at most 3.45 % with 95 % confidence"),
        (0.0, 0.02, "accuracy drops by 0.00 %, at most 2.00 % with 95 % confidence"),
        (-0.00004, 0.02, "accuracy drops by 0.00 %, at most 2.00 % with 95 % confidence"),
        (-0.01, 0.02, "accuracy gains 1.00 %, but may drop by up to 2.00 % with 95 % confidence"),
    ],
)
def test_drop_in_words(drop: float, upper: float, text: str) -> None:
    assert drop_text(drop, upper) == text


@pytest.mark.parametrize("drop, expected", [(0.0, False), (-0.004, False), (-0.006, True), (-0.1, True), (0.1, False)])
def test_gain(drop: float, expected: bool) -> None:
    assert is_gain(drop) == expected


@pytest.mark.parametrize(
    "signal, noise, expected",
    [
        (1, 1, 0.0),
        (100, 1, 20.0),
        (1, 100, -20.0),
        (2, 1, 3.01),
        (0, 1, None),
        (1, 0, None),
        (-1, 1, None),
        (1, -1, None),
        (0.5, 0.25, 3.01),
    ],
)
def test_decibel(signal: float, noise: float, expected: float | None) -> None:
    assert decibel(signal, noise) == expected
