"""The table of detectors that boards ran, in docs/detection.md: on each core all rows of all steps, and the boxes.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/detectors_verified.py [--missing] [--models MODEL ...]
                                                                               [--cores CORE ...]

A cell of tests/vectors/detectors_verified.csv says how many bytes of boxes, and how many boxes, a board made otherwise
than the integer reference, which is compared with ONNX Runtime on every tensor first; it is written as soon as it is
known. RAM and instructions are those of detection.py, whose networks these are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from cells import ModelTables, read_cells, write_cells
from detection import CASES, CORES, FACE, GOAL, PAGE, STREET, Cell, network, title
from emulated import first_wrong_step
from instruction_counts import COUNTED
from kernels import TITLES
from pages import ROOT, markdown

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.errors import FitError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.int8_oracle import ExportedModel
from mbn2c.ops import OPERATORS
from mbn2c.ops.ssd_boxes.arithmetic import boxes_from_bytes
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.images import open_samples

VERIFIED = ROOT / "tests" / "vectors" / "detectors_verified.csv"
# A network of more multiply-accumulates is shown one image, others two.
LARGE = 300_000_000


@dataclass(frozen=True)
class Verified:
    """What a board made of all its images.

    steps            that were compared, all rows of each
    bytes_differ     of the boxes' bytes
    boxes            of the reference
    boxes_differ     those that the board or the reference has alone
    first_wrong      step, or "": none
    refused          in words, where the network does not fit; then all else is 0
    """

    images: int
    steps: int
    bytes_differ: int
    boxes: int
    boxes_differ: int
    first_wrong: str
    refused: str

    @property
    def is_exact(self) -> bool:
        return not (self.refused or self.first_wrong or self.bytes_differ or self.boxes_differ)


KEY = ("model", "core")


def cells() -> Iterator[Cell]:
    """(model, core), in the order of the table."""
    yield from ((name, core) for name in CASES for core in CORES)


def read_verified() -> dict[Cell, Verified]:
    return read_cells(VERIFIED, KEY, Verified)  # type: ignore[return-value]


@cache
def seen(name: str) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Images as the int8 network takes them, and all tensors of the reference, which are ONNX Runtime's."""
    graph, case = network(name).graph, CASES[name]
    spec, oracle = input_spec(graph), ExportedModel(graph, network(name).int8_model)
    macs = sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes)
    files = [case.image, STREET if case.image == FACE else FACE][: 1 if macs > LARGE else 2]
    inputs = []
    for file in files:
        samples = open_samples(file.parent, spec, resize="stretch")
        real = samples[samples.names.index(file.name)].model_input(spec, case.preprocess)
        values = quantize_input(graph, spec, real)
        tensors = run_graph(graph, {graph.inputs[0].tensor: values})
        if differing := oracle.compare(real, tensors).differing:
            raise SystemExit(f"{name}, {file.name}: the reference differs from ONNX Runtime in {dict(differing)}")
        inputs.append((values, tensors))
    return inputs


def verify(name: str, core_name: str, folder: Path) -> Verified:
    """A cell; folder: where the firmware is built."""
    core, board, graph = load_core(core_name), load_board(COUNTED[core_name]), network(name).graph
    names = Names("network", graph.name, hashlib.sha256(graph.name.encode()).digest())
    try:
        choice = choose_plan(graph, core, GOAL, board=board)
        write_bundle(c_files(choice.plan, choice.kernels, names, core, board), folder)
        elf = toolchain.build(folder, names.prefix, core, board).path
    except FitError as refusal:
        return Verified(0, 0, 0, 0, 0, "", str(refusal).splitlines()[0].removeprefix("error: "))
    with EmulatedBoard(board, elf) as transport:
        return _compared(name, choice, Session(transport, digest=names.digest, timing=EMULATED))


def _compared(name: str, choice: Choice, session: Session) -> Verified:
    [output] = [port.tensor for port in choice.plan.graph.outputs]
    wrong = [first_wrong_step(session, choice.plan, values) for values, _ in seen(name)]
    pairs = [(session.run(values.tobytes()), tensors[output].tobytes()) for values, tensors in seen(name)]
    boxes = [tuple(boxes_from_bytes(np.frombuffer(one, np.int8)) for one in pair) for pair in pairs]
    return Verified(
        len(pairs),
        len(choice.plan.calls),
        sum(a != b for pair in pairs for a, b in zip(*pair, strict=True)),
        sum(len(expected) for _, expected in boxes),
        sum(len({*found} ^ {*expected}) for found, expected in boxes),
        next((one for one in wrong if one), ""),
        "",
    )


def table() -> str:
    """A row for each model, a column for each core; all of a model's cells are of the same images."""
    found, rows = read_verified(), []
    for name in CASES:
        of_model = {core: found[name, core] for core in CORES if (name, core) in found}
        ran = [one for one in of_model.values() if not one.refused]
        if of_model:
            numbers = [str(max((getattr(one, what) for one in ran), default=0)) for what in ("images", "boxes")]
            rows.append((title(name), *numbers, *(_words(of_model, core) for core in CORES)))
    return markdown(("", "images", "boxes", *(TITLES.get(core, core) for core in CORES)), rows)


def _words(found: Mapping[str, Verified], core: str) -> str:
    if core not in found:
        return "not run"
    one = found[core]
    return one.refused or f"{one.bytes_differ} / {one.boxes_differ}" + (
        f", {one.first_wrong}" if one.first_wrong else ""
    )


def write_verified(found: Mapping[Cell, Verified]) -> None:
    write_cells(VERIFIED, KEY, Verified, found, cells())


def measure(name: str, core: str, folder: Path) -> tuple[Verified, str]:
    """What differs is written, too: that is what the table is about."""
    return verify(name, core, folder), ""


TABLES = ModelTables(
    about=__doc__,
    page=PAGE,
    topic="detection",
    of_cells={"verified": lambda names: table()},
    others={},
    models=tuple(CASES),
    cores=CORES,
    cells=tuple(cells()),
    measure=measure,
    read=read_verified,
    write=write_verified,
)

if __name__ == "__main__":
    TABLES.main()
