"""`mbn2c bisect`: faults planted into a firmware are named by layer and element, with few bytes on the line."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from devices import build_folder, demo_options
from mutants import code_mutants, constant_mutants, damaged_constant

from mbn2c.cli import main
from mbn2c.commands.bisect import Bisection, bisect
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import Device
from mbn2c.errors import BoardError, Mbn2cError
from mbn2c.files.typed_json import to_plain
from mbn2c.firmware import toolchain
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.report.bisect_text import bisect_text

IMPATIENT = Timing(hello_s=20.0, reply_s=5.0, rows_s=10.0, give_up_s=20.0)


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("host"), demo_options("host", "host"), compiled=True)


@pytest.fixture(scope="module")
def on_a_core(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("core"), demo_options("cortex-m7", "qemu-mps2-an500"), compiled=True)


def bisected(output: OutputFolder, changed: dict[str, str], folder: Path) -> Bisection | None:
    """Of a firmware made of the folder's C with some files changed; None if it does not compile."""
    for path, content in (output.code | {path: text.encode() for path, text in changed.items()}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    board = output.board
    assert board is not None
    try:
        elf = toolchain.build(folder, output.prefix, output.core, board).path
    except Mbn2cError:
        return None
    with EmulatedBoard(board, elf) as line:
        session = Session(line, digest=output.digest, timing=IMPATIENT)
        return bisect(output, Device(line, session))


def test_nothing_is_wrong(on_host: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bisect", str(on_host.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_right"] and found["layer"] is None and found["arrays"] == [] and found["inputs"] == 3
    assert main(["bisect", str(on_host.path)]) == 0
    assert "none: 3 inputs" in capsys.readouterr().out


def test_a_wrong_weight_is_named(on_host: OutputFolder, tmp_path: Path) -> None:
    """The layer that reads it, an element, and the array; two frames and some rows' checksums are on the line."""
    text = on_host.code["digits_constants.c"].decode()
    array = next(one for one in on_host.record.layers if one.op == "conv2d")
    step = next(call.step for call in on_host.own_choice.plan.calls if call.node == array.name)
    found = bisected(
        on_host, {"digits_constants.c": damaged_constant(text, f"digits_step{step}_bias", 0, 5000)}, tmp_path
    )
    assert found is not None and found.layer is not None and found.layer.element is not None
    assert [(one.name, one.layer) for one in found.arrays] == [(f"step{step}_bias", array.name)]
    assert (found.layer.step, found.layer.name, found.layer.op) == (step, array.name, "conv2d")
    element = found.layer.element
    assert (element.row, element.channel) == (0, 0) and element.found != element.expected
    frame = on_host.graph.tensors[on_host.graph.inputs[0].tensor].size_bytes
    assert 2 * frame < found.sent_bytes + found.received_bytes < 2 * frame + 3000
    said = bisect_text(to_plain(found), 115200)
    assert f"step {step}, {array.name}" in said and "row 0, column" in said and "1 hold other" in said


def test_a_wrong_statement_is_named(on_host: OutputFolder, tmp_path: Path) -> None:
    """In the C of one kernel: the first layer that runs it, and no array."""
    file = "mbn_add_scalar.c"
    text = on_host.code[file].decode()
    place = text.index("out[")
    found = bisected(on_host, {file: text[:place] + "out[0] = 77; " + text[place:]}, tmp_path)
    assert found is not None and found.layer is not None and not found.arrays
    first = next(layer.name for layer in on_host.record.layers if layer.op == "add")
    assert found.layer.name == first and found.layer.kernel == "mbn_add_s8_scalar"


def test_an_output_that_is_not_copied_is_named(on_host: OutputFolder, tmp_path: Path) -> None:
    """All layers are right then."""
    text, copied = on_host.code["digits.c"].decode(), re.compile(r"^ *mbn_copy_rows\(.*output\);$", re.MULTILINE)
    changed, count = copied.subn("(void)output;", text)
    assert count == 1
    found = bisected(on_host, {"digits.c": changed}, tmp_path)
    assert found is not None and found.layer is None and found.is_output_wrong and not found.is_right
    assert "output" in bisect_text(to_plain(found), 0)


def test_rows_that_are_never_made_are_named(on_host: OutputFolder, tmp_path: Path) -> None:
    """A layer that says of itself that it sums, and so gives its rows at the end only."""
    text = on_host.code["digits.c"].decode()
    call = next(one for one in on_host.own_choice.plan.calls if one.node and not one.accumulates)
    fields = re.compile(r"\.(scratch|sum_bytes) = ([^,\n]+),")
    changed, count = fields.subn(
        lambda one: f".{one[1]} = number == {call.step} ? {int(one[1] == 'sum_bytes')} : {one[2]},", text
    )
    assert count == 2
    found = bisected(on_host, {"digits.c": changed}, tmp_path)
    assert found is not None and found.layer is not None and found.layer.element is not None
    assert found.layer.step == call.step and found.layer.element.found is None
    assert "never made, not" in bisect_text(to_plain(found), 115200)


@pytest.mark.slow
def test_fifty_faults(on_a_core: OutputFolder, tmp_path: Path) -> None:
    """In C, weights and the flash behind them: each that changes a layer is named."""
    choice = random.Random(7)
    texts = {path: content.decode() for path, content in on_a_core.code.items() if path.endswith((".c", ".h"))}
    kernels = sorted(path for path in texts if "arm_dsp" in path and path.endswith(".c"))
    streams = {
        "weights": constant_mutants("digits_constants.c", texts["digits_constants.c"], choice),
        "network": code_mutants("network", "digits.c", texts["digits.c"], choice),
        "kernels": itertools.chain.from_iterable(
            zip(*(code_mutants("kernels", path, texts[path], choice) for path in kernels), strict=False)
        ),
    }
    told: Counter[str] = Counter()
    for kind, stream in streams.items():
        for tried, mutant in enumerate(stream):
            if told[kind] == {"weights": 20, "network": 15, "kernels": 15}[kind] or tried == 150:
                break
            try:
                found = bisected(on_a_core, {mutant.file: mutant.text}, tmp_path / f"{kind}_{tried}")
            except BoardError as error:  # it hangs or crashes: nothing can be asked of it
                print(f"{mutant}: {error}")
                continue
            if found is None or found.is_right:
                print(f"{mutant}: {'no C' if found is None else 'no layer differs'}")
                continue
            told[kind] += 1
            print(f"{mutant}: {found.arrays} {found.layer} {found.is_output_wrong}")
            assert found.layer is not None or found.arrays or found.is_output_wrong, mutant
            assert found.layer is None or found.layer.element is not None, mutant
            if kind == "weights":
                assert len(found.arrays) == 1, mutant
                assert found.layer is None or found.layer.name in (found.arrays[0].layer, "input"), mutant
    assert sum(told.values()) == 50, told
