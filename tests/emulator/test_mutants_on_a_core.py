"""Faults planted into the firmware of an emulated core, kernels in assembly too, are seen by `verify`'s own code."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from devices import build_folder, demo_options
from mutants import Mutant, code_mutants, constant_mutants

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import Device
from mbn2c.commands.verify.one_image import open_models
from mbn2c.commands.verify.stress import StressSet, run_stress
from mbn2c.errors import BoardError, GateError, Mbn2cError
from mbn2c.firmware import toolchain
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.progress import no_progress
from mbn2c.targets import load_board, load_core

BOARD = "qemu-mps2-an500"
IMPATIENT = Timing(hello_s=20.0, reply_s=5.0, rows_s=10.0, give_up_s=20.0)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("emulated"), demo_options("cortex-m7", BOARD), compiled=True)


def seen_by_verify(output: OutputFolder, mutant: Mutant, folder: Path) -> str:
    """What the stress set says of a firmware with a fault in it, "" for nothing, "no" if it does not compile."""
    for path, content in output.code.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / mutant.file).write_text(mutant.text)
    board = load_board(BOARD)
    try:
        elf = toolchain.build(folder, output.prefix, load_core("cortex-m7"), board).path
    except Mbn2cError:
        return "no"
    with EmulatedBoard(board, elf) as line:
        device = Device(line, Session(line, digest=output.digest, timing=IMPATIENT))
        try:
            _, tally = run_stress(StressSet(output, open_models(output, {})), [device], [], no_progress)
        except (BoardError, GateError) as error:
            return str(error)
    return "; ".join(tally.first_bad)


@pytest.mark.slow
def test_faults_on_an_emulated_core(emulated: OutputFolder, tmp_path: Path) -> None:
    """Constants, the network's code, and kernels with assembly: through firmware, line and `verify`'s own code."""
    choice = random.Random(5)
    texts = {path: content.decode() for path, content in emulated.code.items() if path.endswith((".c", ".h"))}
    kernels = sorted(path for path in texts if "arm_dsp" in path and path.endswith(".c"))
    streams = [
        constant_mutants("digits_constants.c", texts["digits_constants.c"], choice),
        code_mutants("network", "digits.c", texts["digits.c"], choice),
        *(code_mutants("kernels", path, texts[path], choice) for path in kernels),
    ]
    told: dict[str, str] = {}
    for number, stream in enumerate(streams):
        for tried, mutant in enumerate(itertools.islice(stream, 4)):
            told[str(mutant)] = seen_by_verify(emulated, mutant, tmp_path / f"{number}_{tried}")
    compiled = {mutant: said for mutant, said in told.items() if said != "no"}
    print("\n".join(f"{mutant}: {said or 'nothing differs'}" for mutant, said in compiled.items()))
    constants = [said for mutant, said in compiled.items() if "digits_constants.c" in mutant]
    assert all("constant array" in said for said in constants), constants
    # Some faults are none (a bound of memory one larger, an order of tests); most must be seen.
    assert sum(bool(said) for said in compiled.values()) >= 0.6 * len(compiled)
