"""Generated C on this machine: many Plans in one compiler call, as a library or as a program under sanitizers."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mbn2c.emit.network.model import Names, PlannedNetwork, kernel_file, model_files
from mbn2c.files.bundle import write_bundle
from mbn2c.ir.plan import Plan, from_memory
from mbn2c.kernels import kernels_of_plan
from mbn2c.resources.folders import templates
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.inputs import Preprocess

STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
# Warnings are another test's business. Not -O1: with sanitizers it takes twice as long to compile, and takes away
# some of what they look for.
SANITIZE_ANY = ("-O0", "-w", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# gcc calls a function for each check of an address; a third less to compile than the check in place.
SANITIZE = (*SANITIZE_ANY, "--param=asan-instrumentation-with-call-threshold=0")
Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Net:
    """A Plan under a C prefix of its own."""

    prefix: str
    plan: Plan
    labels: tuple[str, ...] = ()
    tables: np.ndarray | None = None
    isas: tuple[str, ...] = ("scalar",)
    title: str = "a test"
    preprocess: Preprocess | None = None
    camera: Camera | None = None
    resize: str = "crop"
    slice: int | None = None
    sections: Mapping[str, str] = field(default_factory=dict)
    threads: bool = True
    one_body: bool = False
    prefetches: bool = False

    @property
    def planned(self) -> PlannedNetwork:
        names = Names(
            self.prefix,
            self.title,
            bytes(range(32)),
            self.labels,
            self.tables,
            preprocess=self.preprocess,
            camera=self.camera,
            resize=self.resize,
            slice=self.slice,
            sections=self.sections,
            threads=self.threads,
            one_body=self.one_body,
            prefetches=self.prefetches,
        )
        return PlannedNetwork(self.plan, kernels_of_plan(self.plan, self.isas), names)

    def files(self) -> dict[str, bytes]:
        return files_of([self])


def files_of(nets: Sequence[Net], *, twins: bool = True) -> dict[str, bytes]:
    """The C of all nets, which share their kernels."""
    first, *others = [net.planned for net in nets]
    files = model_files(first.plan, first.kernels, first.names, others)
    return with_twins(files) if twins else files


def with_twins(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, those in assembly or intrinsics replaced by what `portable/` beside them has under their name."""
    twins = {}
    for isa in sorted(path.name for path in (templates() / "kernels").iterdir()):
        for path in (templates() / "kernels" / isa / "portable").glob("*.[ch]"):
            name = path.name if path.suffix == ".h" else kernel_file(f"{isa}/{path.name}")
            if name in files or path.suffix == ".h":
                twins[name] = path.read_bytes()
    return {**files, **twins}


def write_c(folder: Path, nets: Sequence[Net], *, twins: bool = True) -> list[str]:
    """All files of all nets in one folder; returns the .c files."""
    files = files_of(nets, twins=twins)
    write_bundle(files, folder)
    return sorted(path for path in files if path.endswith(".c"))


def compile_c(
    folder: Path, sources: Sequence[str], *flags: str, compiler: str = "gcc", standard: str = "-std=c99"
) -> None:
    """Run the compiler; an AssertionError shows what it says."""
    # What is for another core is compiled as portable twins.
    command = [compiler, *([standard] if standard else []), "-DMBN_ANY_CORE", *flags, *sources]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if "cannot find" in done.stderr and "libclang_rt" in done.stderr:
        pytest.skip("clang's sanitizers are not installed (apt install libclang-rt-dev)")
    assert done.returncode == 0, f"{' '.join(command[:8])} ...\n{done.stderr[:4000]}"


# --- as a library, for the API -------------------------------------------------------------------

_OBSERVER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32)


def load(folder: Path, nets: Sequence[Net], *flags: str) -> ctypes.CDLL:
    sources = write_c(folder, nets)
    compile_c(folder, sources, "-O1", "-fPIC", "-shared", *flags, "-o", "nets.so", "-lm")
    return ctypes.CDLL(str(folder / "nets.so"))


@dataclass
class Context:
    """One initialised context of a net in a loaded library."""

    library: ctypes.CDLL
    net: Net
    seen: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = self.net.plan.arena_bytes
        self._memory = ctypes.create_string_buffer(b"\xa5" * (size + 16))
        self._context = ctypes.create_string_buffer(8192)
        self.arena = -(-ctypes.addressof(self._memory) // 16) * 16
        self._observer = _OBSERVER(lambda _, step, row, count: self.seen.append((step, ctypes.string_at(row, count))))
        assert self.call("init", ctypes.c_void_p(self.arena), ctypes.c_size_t(size)) == 0

    def call(self, function: str, *arguments: object) -> int:
        return int(getattr(self.library, f"{self.net.prefix}_{function}")(self._context, *arguments))

    def observe(self) -> None:
        assert self.call("observe", self._observer, None) == 0

    @property
    def output_bytes(self) -> int:
        graph = self.net.plan.graph
        return sum(graph.tensors[port.tensor].size_bytes for port in graph.outputs)

    def run(self, values: np.ndarray) -> bytes:
        output = ctypes.create_string_buffer(self.output_bytes)
        assert self.call("run", values.tobytes(), output) == 0
        return output.raw


def expected_output(plan: Plan, tensors: Tensors) -> bytes:
    """What `run` writes: all outputs, one after the other."""
    return b"".join(tensors[port.tensor].tobytes() for port in plan.graph.outputs)


# --- as a program, for sanitizers ----------------------------------------------------------------

_DRIVER_HEAD = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void word(FILE *file, int32_t value) { fwrite(&value, sizeof value, 1, file); }

static void observe(void *context, int step, const int8_t *row, int32_t bytes)
{
    FILE *file = (FILE *)context;
    word(file, step);
    word(file, bytes);
    fwrite(row, 1, (size_t)bytes, file);
}
"""

_DRIVER_NET = """
#include "{name}.h"

static void run_{name}(FILE *in, FILE *out, int count)
{{
    /* Each block exactly as large as promised, so that a byte beyond is found. */
    void *arena = aligned_alloc(16, {NAME}_ARENA_BYTES);
    {name}_input_t *input = ({name}_input_t *)malloc({NAME}_INPUT_BYTES);
    int8_t *output = (int8_t *)malloc({NAME}_OUTPUT_BYTES);
    {name}_t *net = ({name}_t *)malloc(sizeof *net);
    memset(arena, 0xa5, {NAME}_ARENA_BYTES);
    if ({name}_init(net, arena, {NAME}_ARENA_BYTES) != 0 || {name}_observe(net, observe, out) != 0) exit(3);
    for (int i = 0; i < count; i++) {{
        if (fread(input, 1, {NAME}_INPUT_BYTES, in) != {NAME}_INPUT_BYTES) exit(4);
        if ({name}_run(net, input, output) != 0) exit(5);
        observe(out, -1, output, {NAME}_OUTPUT_BYTES);
    }}
    free(arena);
    free(input);
    free(output);
    free(net);
}}
"""


def run_program(
    folder: Path,
    nets: Sequence[Net],
    inputs: Sequence[Sequence[np.ndarray]],
    compiler: str,
    flags: Sequence[str],
    *,
    twins: bool = True,
    runner: Sequence[str] = (),
) -> list[list[Tensors]]:
    """Compile nets and driver into one program and run every net on its inputs (the same number for all).

    twins    compile what is in assembly or intrinsics in plain C
    runner   command that runs programs of another machine
    returns  for each net and input every int8 tensor, NHWC; the outputs as `run` wrote them
    """
    sources = write_c(folder, nets, twins=twins)
    count = len(inputs[0])
    calls = "".join(f"    run_{net.prefix}(in, out, {count});\n" for net in nets)
    driver = _DRIVER_HEAD + "".join(_DRIVER_NET.format(name=n.prefix, NAME=n.prefix.upper()) for n in nets)
    driver += (
        '\nint main(void)\n{\n    FILE *in = fopen("inputs.bin", "rb"), *out = fopen("outputs.bin", "wb");\n'
        f"    if (in == NULL || out == NULL) return 2;\n{calls}    fclose(in);\n    return fclose(out);\n}}\n"
    )
    (folder / "driver.c").write_text(driver)
    (folder / "inputs.bin").write_bytes(b"".join(values.tobytes() for row in inputs for values in row))
    compile_c(folder, [*sources, "driver.c"], *flags, "-o", "program", "-lm", compiler=compiler, standard="-std=gnu11")
    done = subprocess.run([*runner, str(folder / "program")], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[:4000]}"
    return _parse((folder / "outputs.bin").read_bytes(), nets, count)


def _parse(data: bytes, nets: Sequence[Net], count: int) -> list[list[Tensors]]:
    position, results = 0, []
    for net in nets:
        names = {call.step: call.write for call in net.plan.calls}
        runs = []
        for _ in range(count):
            rows: dict[str, list[bytes]] = {}
            step = 0
            while step != -1:
                step, size = np.frombuffer(data, "<i4", 2, position).tolist()
                rows.setdefault(names.get(step, ""), []).append(data[position + 8 : position + 8 + size])
                position += 8 + size
            runs.append(_tensors(net.plan, rows))
        results.append(runs)
    assert position == len(data)
    return results


def _tensors(plan: Plan, rows: dict[str, list[bytes]]) -> Tensors:
    graph = plan.graph
    tensors = {
        name: from_memory(plan.buffers[name], np.frombuffer(b"".join(parts), np.int8))
        for name, parts in rows.items()
        if name
    }
    position = 0
    output = np.frombuffer(rows[""][0], np.int8)
    for port in graph.outputs:
        tensor = graph.tensors[port.tensor]
        tensors[port.tensor] = output[position : position + tensor.size_bytes].reshape(tensor.shape)
        position += tensor.size_bytes
    return tensors


def own_rows(plan: Plan, tensors: Tensors) -> Tensors:
    """The tensors without those that lie as slices in others, where they are seen."""
    return {name: values for name, values in tensors.items() if not plan.buffers[name].is_slice}


def first_difference(reference: Tensors, found: Tensors) -> str:
    """ "" if all tensors are equal, else the name of the first that is not."""
    for name, values in reference.items():
        if name not in found:
            return f"{name} was never observed"
        if not np.array_equal(values, found[name]):
            return f"{name}: {int((values != found[name]).sum())} of {values.size} bytes differ"
    return ""
