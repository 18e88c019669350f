"""A board whose flash is too small: one body of code for all steps, then multipliers that layers share, then weights of
four bits where these cost least."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.commands import demo
from mbn2c.commands.build import REPORT, BuildOptions, build
from mbn2c.network.options import RANDOM
from mbn2c.report.json import read_record
from mbn2c.report.record import BuildRecord
from mbn2c.targets import load_board, load_core

KIB = 1024


def built(flash_bytes: int) -> BuildRecord:
    """The bundled network for a board with so much flash, quantized on noise."""
    board = load_board("nucleo-h743zi2")
    memories = tuple(replace(one, size_bytes=flash_bytes) if one.kind == "flash" else one for one in board.memories)
    options = BuildOptions(
        model=demo.MODEL_FILE,
        core=load_core("cortex-m7"),
        board=replace(board, memories=memories),
        calib=RANDOM,
    )
    return read_record(build(options)[REPORT])


def test_one_body_of_code_goes_before_shared_multipliers() -> None:
    large = built(2048 * KIB)
    constants = large.flash.weights_bytes + large.flash.constants_bytes
    # Between what the code is expected to take with one body, and with a body for each of the layers.
    small = built(constants + (13 + 6) * KIB + 160 * len(large.layers))
    assert (small.build.one_body, large.build.one_body) == (True, False)
    assert small.flash == large.flash and small.model.int8_sha256 == large.model.int8_sha256


def test_shared_multipliers_go_before_weights_of_four_bits() -> None:
    small, large = built(72 * KIB), built(2048 * KIB)
    assert small.build.one_body
    assert small.quantization.four_bits == ()
    assert small.flash.weights_bytes == large.flash.weights_bytes
    assert small.flash.constants_bytes < large.flash.constants_bytes - 2 * KIB


def test_some_layers_get_four_bits_where_that_is_enough() -> None:
    small = built(66 * KIB)
    layers = small.quantization.four_bits
    pointwise = [one for one in small.layers if one.op in ("conv2d", "fully_connected")]
    assert 0 < len(layers) < len(pointwise) - 1
    assert small.flash.weights_bytes + small.flash.constants_bytes < 66 * KIB - 13 * KIB
