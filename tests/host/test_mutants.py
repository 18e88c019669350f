"""Faults planted into the generated C, one at a time: which of them the images show, and which only the stress set.

A fault counts as one (as not equivalent) if any constant array has another checksum than it was packed with, or if some
of 300 other inputs, as varied as we know how to make them, give any step other rows.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from devices import build_folder, demo_options
from host_c import with_twins
from mutants import Answers, Mutant, Program, code_mutants, constant_mutants

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.emit.expectations import expectations
from mbn2c.emit.network.model import constant_arrays, model_files
from mbn2c.kernels import packed_constants
from mbn2c.network.inputs import input_spec
from mbn2c.network.stress_inputs import StressRecipe, candidates, open_stress, stress_codes
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core
from mbn2c.tasks.images import open_samples

IMAGES, OTHERS = 50, 300


@dataclass(frozen=True)
class Verdict:
    """How a fault was seen; `real`: it is one at all."""

    mutant: Mutant
    images: bool
    stress: bool
    constants: bool
    real: bool

    @property
    def is_caught(self) -> bool:
        return self.images or self.stress or self.constants


@dataclass(frozen=True)
class Inputs:
    """Raw pixels as the network takes them, and what the integer reference makes of all of them."""

    images: Sequence[bytes]
    stress: Sequence[bytes]
    others: Sequence[bytes]


class Lab:
    """A network's C, and what it should say."""

    def __init__(self, output: OutputFolder, core: str, folder: Path) -> None:
        choice = output.choice(load_core(core))
        files = with_twins(model_files(choice.plan, choice.kernels, output.names))
        files = {path: data for path, data in files.items() if not path.endswith("_softmax.c")}
        arrays = constant_arrays(packed_constants(choice.plan, choice.kernels), output.names)
        self._program = Program(folder, output.prefix, files, len(choice.plan.calls), list(arrays))
        self._inputs = _inputs(output)
        self._expected = expectations(choice.plan, choice.kernels, output.names)
        self._graph, self._tables = output.graph, output.names.tables
        self.constants = f"{output.prefix}_constants.c"
        self.model = f"{output.prefix}.c"
        self.kernels = [path for path in files if path.startswith("mbn_")]
        with self._program.built() as program:
            assert program is not None
            self._shown = self._program.run(program, [*self._inputs.images, *self._inputs.stress])
            self._hidden = self._program.run(program, self._inputs.others)
        self._check()

    def _check(self) -> None:
        """The sound program says what the integer reference says, so that a mutant is compared with that."""
        assert self._shown.constants.tolist() == [one.crc for one in self._expected.constants]
        size = self._graph.tensors[self._graph.inputs[0].tensor].shape
        for frame, digests in zip(self._inputs.stress, self._shown.digests[IMAGES:], strict=True):
            pixels = np.frombuffer(frame, np.uint8).reshape(size)
            codes = stress_codes(self._graph, pixels, self._tables)
            tensors = run_graph(self._graph, {self._graph.inputs[0].tensor: codes})
            assert digests[:-1].tolist() == self._expected.digests(tensors)

    def judge(self, mutant: Mutant) -> Verdict | None:
        """None if it does not compile."""
        with self._program.built(mutant) as program:
            if program is None:
                return None
            shown = self._program.run(program, [*self._inputs.images, *self._inputs.stress])
            images = bool((shown.digests != self._shown.digests)[:IMAGES, -1].any())
            stress = bool((shown.digests != self._shown.digests)[IMAGES:].any())
            constants = bool((shown.constants != self._shown.constants).any())
            is_real = images or stress or self._differs(self._program.run(program, self._inputs.others))
        return Verdict(mutant, images, stress, constants, is_real)

    def _differs(self, hidden: Answers) -> bool:
        return bool((hidden.digests != self._hidden.digests).any())

    def mutants(self, seed: int) -> dict[str, Iterator[Mutant]]:
        """Endless streams of faults in the constants, in the network's own code, in the kernels."""
        choice = random.Random(seed)
        text = self._program.text
        of_kernels = [code_mutants("kernels", path, text(path), choice) for path in self.kernels]
        sizes = [len(text(path)) for path in self.kernels]
        return {
            "constants": constant_mutants(self.constants, text(self.constants), choice),
            "model": code_mutants("network", self.model, text(self.model), choice),
            "kernels": (next(choice.choices(of_kernels, sizes)[0]) for _ in itertools.count()),
        }

    def verdicts(self, mutants: Iterator[Mutant], count: int) -> list[Verdict]:
        """Of `count` different faults that compile."""
        found: dict[str, Verdict] = {}
        for mutant in mutants:
            if len(found) == count:
                break
            if mutant.text not in found and (verdict := self.judge(mutant)) is not None:
                found[mutant.text] = verdict
        return list(found.values())


def _inputs(output: OutputFolder) -> Inputs:
    samples = open_samples(demo.TEST_FOLDER, input_spec(output.graph), limit=IMAGES)
    size = output.graph.tensors[output.graph.inputs[0].tensor].shape[1:]
    stress = open_stress(output.report["stress"])
    pool = [one for one in candidates(*size[:2], OTHERS + 20) if one not in stress][: OTHERS - 60]
    pool += [StressRecipe("octaves", cell, 1000 + seed) for cell in (1, 2, 4) for seed in range(20)]
    return Inputs(
        [sample.pixels.tobytes() for sample in samples if sample.pixels is not None],
        [one.pixels(*size).tobytes() for one in stress],
        [one.pixels(*size).tobytes() for one in pool],
    )


def rate(verdicts: Sequence[Verdict]) -> float:
    """Of the faults that are any, the share that verify sees."""
    real = [one for one in verdicts if one.real or one.constants]
    return sum(one.is_caught for one in real) / len(real)


def table(verdicts: Sequence[Verdict]) -> str:
    """What was seen by what, and what was not."""
    rows = [f"{'kind':24s} faults  equivalent  images alone  layers' digests  checksums  verify  missed"]
    kinds = sorted({one.mutant.kind for one in verdicts})
    for kind in [*kinds, ""]:
        some = [one for one in verdicts if kind in ("", one.mutant.kind)]
        real = [one for one in some if one.real]
        counts = (
            len(some),
            len(some) - len(real),
            sum(one.images for one in real),
            sum(one.stress for one in real),
            sum(one.constants for one in real),
            sum(one.is_caught for one in real),
            sum(not one.is_caught for one in real),
        )
        numbers = " ".join(f"{count:>{width}d}" for count, width in zip(counts, (6, 11, 13, 16, 10, 7, 7), strict=True))
        rows.append(f"{kind or 'all':24s} {numbers}")
    return "\n".join([*rows, *(f"missed: {one.mutant}" for one in verdicts if one.real and not one.is_caught)])


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), demo_options("host"))


def test_eighteen_faults(output: OutputFolder, tmp_path: Path) -> None:
    lab = Lab(output, "host", tmp_path)
    streams = lab.mutants(1)
    verdicts = [one for stream in streams.values() for one in lab.verdicts(stream, 6)]
    assert rate(verdicts) == 1, table(verdicts)
    assert sum(one.real for one in verdicts) >= 8, table(verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["host", "cortex-m7"])
def test_300_faults(core: str, output: OutputFolder, tmp_path: Path) -> None:
    """On scalar C, and on the portable twins of the kernels with Arm's DSP instructions."""
    lab = Lab(output, core, tmp_path)
    verdicts = [one for stream in lab.mutants(11).values() for one in lab.verdicts(stream, 100)]
    print(table(verdicts))
    assert rate(verdicts) >= 0.99, table(verdicts)
