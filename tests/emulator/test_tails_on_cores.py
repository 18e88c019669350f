"""What a model ends with, on emulated cores: exact logits, and the C that makes probabilities of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from devices import assert_exact, build_with_inputs, verify_on
from host_c import STRICT, compile_c, write_c
from host_c import Net as CNet
from shared import shared
from tiny_nets import tiny_nets

from mbn2c.commands.verify import VerifyOptions
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.tails import apply_tail


def test_shared_keras_sigmoid_is_exact_on_a_board(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    board = load_board("qemu-mps2-an385")
    assert board.emulator is not None
    for program in (board.emulator.program, "arm-none-eabi-gcc"):
        need_tool(program)
    model = shared("faults/keras_rescale_sigmoid.onnx")
    output, images = build_with_inputs(tmp_path, model, (96, 96, 3), "cortex-m3", board.name)
    assert [port.tail for port in output.graph.outputs] == ["sigmoid"]
    assert_exact(verify_on(output, board.name, tmp_path / "firmware", VerifyOptions(images, limit=2)), 2)


_PRINT_TAILS = """#include <stdio.h>
#include <string.h>
#include "two_tails.h"

int main(void)
{
    int8_t output[TWO_TAILS_OUTPUT_BYTES];
    float found[TWO_TAILS_OUTPUT_BYTES];
    for (int value = -128; value < 128; value++) {
        memset(output, -value - 1, sizeof output);
        output[0] = (int8_t)value;
        output[TWO_TAILS_OUTPUT1_OFFSET] = (int8_t)value;
        two_tails_softmax0(output, found);
        two_tails_sigmoid1(output, found + TWO_TAILS_OUTPUT1_OFFSET);
        for (int i = 0; i < TWO_TAILS_OUTPUT_BYTES; i++) {
            printf("%a\\n", (double)found[i]);
        }
    }
    return 0;
}
"""


def test_softmax_and_sigmoid_on_an_emulated_core(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """Every int8 value, as the host computes it in float64."""
    core = load_core("aarch64")
    for program in (f"{core.prefix}gcc", "qemu-aarch64"):
        need_tool(program)
    net: CNet = tiny_nets()["two_tails"]
    sources = [*write_c(tmp_path, [net]), "main.c"]
    (tmp_path / "main.c").write_text(_PRINT_TAILS)
    compile_c(tmp_path, sources, "-O2", *STRICT, "-static", "-o", "tails", compiler=f"{core.prefix}gcc")
    done = subprocess.run(["qemu-aarch64", "tails"], cwd=tmp_path, capture_output=True, text=True, check=True)
    graph = net.plan.graph
    sizes = [graph.tensors[port.tensor].size_bytes for port in graph.outputs]
    found = np.array([float.fromhex(line) for line in done.stdout.split()]).reshape(256, sum(sizes))
    for value, row in zip(range(-128, 128), found, strict=True):
        for port, ours in zip(graph.outputs, np.split(row, sizes[:1]), strict=True):
            codes = np.full(len(ours), -value - 1)
            codes[0] = value
            quant = quant_of(graph, port.tensor)
            real = (codes - quant.zero_point) * float(scale_of(quant))
            assert np.allclose(ours, apply_tail(port.tail, real), rtol=1e-5, atol=1e-30), (value, port.outside)
