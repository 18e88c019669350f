"""Candidates of a detector: how they lie in memory, and which of many are the best.

A record has 10 bytes, as the struct mbn_candidate of templates/kernels/scalar/mbn_ssd.h: rank int16, place uint16,
label uint16, offsets int8 [4]. Of two candidates the one with the greater rank is better, then the one whose place is
less, then the one whose label is less: no two are equal.
"""

from __future__ import annotations

import numpy as np

RECORD = np.dtype([("rank", "<i2"), ("place", "<u2"), ("label", "<u2"), ("offsets", "i1", (4,))])
# The rank of a record that holds no candidate; those that do have greater ones.
EMPTY_RANK = -(2**15)
# Of a score: ONE_SCORE is 1, but the greatest that fits in int16 is one less.
ONE_SCORE = 1 << 15


def best_of(candidates: np.ndarray, most: int) -> np.ndarray:
    """The `most` best ones, the best first; RECORD [N] in any order."""
    order = np.lexsort((candidates["label"], candidates["place"], -candidates["rank"].astype(np.int32)))
    return candidates[order[:most]]


def as_bytes(candidates: np.ndarray, most: int) -> np.ndarray:
    """int8 [most * 10]: the candidates, and empty records behind them."""
    records = np.zeros(most, RECORD)
    records["rank"][len(candidates) :] = EMPTY_RANK
    records[: len(candidates)] = candidates
    return records.view(np.int8)


def from_bytes(values: np.ndarray) -> np.ndarray:
    """The candidates, without the empty records; the inverse of `as_bytes`."""
    records = np.ascontiguousarray(values).reshape(-1).view(RECORD)
    return records[records["rank"] > EMPTY_RANK]
