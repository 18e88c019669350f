"""The input of the generated C: in words for its header, and the function that makes a row of it."""

from __future__ import annotations

import numpy as np

from mbn2c.emit.network.c_tables import wrapped
from mbn2c.ir.graph import Graph
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.tasks.inputs import Preprocess, pixel_tables
from mbn2c.tasks.protocol import CFunction

_WORDS_CHARS = 120
_COLOURS = {1: "gray", 3: "red, green, blue"}


def input_words(graph: Graph, prefix: str, preprocess: Preprocess | None, takes_pixels: bool) -> list[str]:
    """Order, range and meaning of what the network takes, as lines of a comment.

    preprocess    None: it was not told, because the model was only ever fed with arrays
    takes_pixels  the network does it
    """
    tensor = graph.tensors[graph.inputs[0].tensor]
    _, height, width, channels = tensor.shape
    order = _COLOURS.get(channels) if preprocess is not None or takes_pixels else None
    words = (
        f"Input: one image, NHWC: {height} rows from the top, each of {width} pixels from the left, each of"
        f" {channels} channel{'s' if channels > 1 else ''}{f' ({order})' if order else ', in the order of the model'}."
    )
    formula = "" if preprocess is None else f"real = {_formula(preprocess)}"
    quant = quant_of(graph, tensor.name)
    lowest, highest = (float(scale_of(quant)) * (code - quant.zero_point) for code in (INT8_MIN, INT8_MAX))
    if takes_pixels:
        words += " uint8: the bytes of a camera, 0 to 255, as they are; the network does the preprocessing"
        words += f", {formula}." if formula else "."
    else:
        words += (
            f" int8: real = scale * (value - zero_point), which reaches from {lowest:.4g} to {highest:.4g};"
            f" {prefix}_quantize_row makes a row of "
        )
        if preprocess is None:
            words += "real numbers, those that the model itself takes."
        else:
            words += (
                f"the bytes of a camera, with the preprocessing of the training, {formula}. The usual way is to build"
                " with --input uint8: the network then takes the bytes as they are."
            )
    return wrapped(words.split(" "), _WORDS_CHARS)


def _formula(preprocess: Preprocess) -> str:
    mean, std = (
        f"{numbers[0]:g}" if len(set(numbers)) == 1 else "[" + ", ".join(f"{number:g}" for number in numbers) + "]"
        for numbers in (preprocess.mean, preprocess.std)
    )
    shifted = "byte / 255" if mean == "0" else f"(byte / 255 - {mean})"
    return shifted if std == "1" else f"{shifted} / {std}"


def input_functions(graph: Graph, prefix: str, preprocess: Preprocess | None, takes_pixels: bool) -> list[CFunction]:
    """`quantize_row`, where the input is int8; arguments as of `input_words`."""
    if takes_pixels:
        return []
    if preprocess is None:
        words = "real numbers, those that the model itself takes"
        declaration = f"void {prefix}_quantize_row(const float *real, int8_t *row);"
        values: dict[str, object] = {"tables": None}
    else:
        words = "the bytes of a camera, 0 to 255"
        declaration = f"void {prefix}_quantize_row(const uint8_t *bytes, int8_t *row);"
        tables = pixel_tables(graph, preprocess)
        shared = bool(np.array_equal(tables, np.broadcast_to(tables[0], tables.shape)))
        values = {"tables": tables[0] if shared else tables, "is_shared": shared}
    comment = f"/* {prefix.upper()}_INPUT_ROW_BYTES of {words} ->\n * as many int8, a row for {prefix}_push_rows. */\n"
    return [CFunction("quantize_row", comment + declaration, "network/quantize_row.c.j2", values)]
