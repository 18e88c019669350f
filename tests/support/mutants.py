"""Faults planted one at a time into generated C, and a program that says what a network makes of them, step by step."""

from __future__ import annotations

import contextlib
import random
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CPU_S = 6
_FLAGS = ("-DMBN_ANY_CORE", "-std=gnu11", "-O1", "-w", "-I.")


@dataclass(frozen=True)
class Mutant:
    """One file with one place changed."""

    kind: str
    file: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.file}:{self.line}: {self.before} -> {self.after}"


# --- constants -----------------------------------------------------------------------------------

_ARRAY = re.compile(r"^const (u?int\d+_t) (\w+)\[\d+\] = \{\n(.*?)\n\};", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\(-2147483647 - 1\)|0x[0-9a-f]+u|-?\d+")


def _changes(values: Sequence[int], at: int, bits: int, choice: random.Random) -> tuple[str, dict[int, int]]:
    """What becomes of the element `at`, and of others."""
    value, half = values[at], 1 << (bits - 1)
    other = choice.randrange(len(values))
    kind, new = choice.choice(
        [
            ("+ 1", {at: value + 1}),
            ("- 1", {at: value - 1}),
            ("negated", {at: -value}),
            ("+ 0.1 %", {at: value + max(1, abs(value) // 1000)}),
            ("swapped", {at: values[other], other: value}),
        ]
    )
    return kind, {place: (one + half) % (2 * half) - half for place, one in new.items()}


def constant_mutants(file: str, text: str, choice: random.Random) -> Iterator[Mutant]:
    """Elements of the arrays, each array as likely as another: + 1, - 1, negated, + 0.1 %, two swapped.

    Packed words (uint32) hold four bytes: one of them changes.
    """
    arrays = list(_ARRAY.finditer(text))
    while True:
        array = choice.choice(arrays)
        numbers = list(_NUMBER.finditer(array[3]))
        written = [-(2**31) if "(" in one[0] else int(one[0].rstrip("u"), 0) for one in numbers]
        type_name, what = array[1], array[2].rsplit("_", 1)[1]
        dtype = np.dtype(type_name.removesuffix("_t"))
        if dtype == np.uint32 and choice.random() < 0.75:
            dtype = np.dtype(np.int8)  # most words are four weights
        elif dtype == np.uint32:
            dtype = np.dtype(np.int32)
        whole = np.array(written).astype(type_name.removesuffix("_t"))
        parts = whole.view(dtype)
        kind, changes = _changes(parts.tolist(), choice.randrange(parts.size), 8 * dtype.itemsize, choice)
        for place, value in changes.items():
            parts[place] = value
        differing = [i for i, (old, new) in enumerate(zip(written, whole.tolist(), strict=True)) if old != new]
        if not differing:
            continue
        body, first = array[3], numbers[differing[0]]
        for i in reversed(differing):
            body = body[: numbers[i].start()] + _literal(int(whole[i])) + body[numbers[i].end() :]
        mutated = text[: array.start(3)] + body + text[array.end(3) :]
        line = text.count("\n", 0, array.start(3) + first.start()) + 1
        yield Mutant(f"{what} {kind}", file, line, first[0], str(int(whole[differing[0]])), mutated)


def damaged_constant(text: str, name: str, index: int, delta: int) -> str:
    """The C of constants with one element of one array changed."""
    array = next(one for one in _ARRAY.finditer(text) if one[2] == name)
    number = list(_NUMBER.finditer(array[3]))[index]
    start, end = array.start(3) + number.start(), array.start(3) + number.end()
    return text[:start] + str(int(number[0], 0) + delta) + text[end:]


def _literal(value: int) -> str:
    return "(-2147483647 - 1)" if value == -(2**31) else str(value) + ("u" if value > 2**31 - 1 else "")


# --- code ----------------------------------------------------------------------------------------

_TOKENS = re.compile(
    r"""(?P<skip>/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|\#[^\n]*|\b[A-Za-z_]\w*|->)
      | (?P<number>0x[0-9a-fA-F]+u?|\d+u?)
      | (?P<operator><<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|\+=|-=|[-+*/%<>&|?])""",
    re.VERBOSE | re.DOTALL,
)
_INSTEAD = {
    "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=",
    "!=": "==", "&&": "||", "||": "&&", "<<": ">>", ">>": "<<", "++": "--", "+=": "-=", "-=": "+=", "&": "|",
    "|": "&", "<<=": ">>=", ">>=": "<<=",
}  # fmt: skip


def code_mutants(where: str, file: str, text: str, choice: random.Random) -> Iterator[Mutant]:
    """Operators exchanged, literals one more or less, statements left out; each place as likely as another."""
    tokens = [one for one in _TOKENS.finditer(text) if one["number"] or one["operator"] in _INSTEAD]
    statements = list(
        re.finditer(r"^ +(?!return|break|const|static|int|u?int\d+_t)[\w*>.\[\]() -]+[=(][^\n{]*;$", text, re.M)
    )
    while True:
        if statements and choice.random() < 0.15:
            one = choice.choice(statements)
            kind, new = "statement", ";"
        else:
            one = choice.choice(tokens)
            if one["number"]:
                suffix = "u" if one[0].endswith("u") else ""
                value = int(one[0].rstrip("u"), 0)
                kind, new = "literal", f"{max(0, value + choice.choice((-1, 1)))}{suffix}"
            else:
                kind, new = "operator", _INSTEAD[one[0]]
        if new != one[0]:
            line = text.count("\n", 0, one.start()) + 1
            yield Mutant(
                f"{where}, {kind}", file, line, one[0].strip(), new, text[: one.start()] + new + text[one.end() :]
            )


# --- running -------------------------------------------------------------------------------------

_DRIVER = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "{name}.h"
#include "{name}_constants.h"

static uint32_t table[{NAME}_STEPS];

static uint32_t crc32(uint32_t crc, const void *bytes, uint32_t count)
{{
    static uint32_t entries[256];
    const uint8_t *next = (const uint8_t *)bytes;
    if (entries[1] == 0) {{
        for (uint32_t i = 0; i < 256; i++) {{
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0);
            entries[i] = value;
        }}
    }}
    crc = ~crc;
    while (count-- > 0) crc = (crc >> 8) ^ entries[(crc ^ *next++) & 255];
    return ~crc;
}}

static void put(uint32_t value)
{{
    fwrite(&value, sizeof value, 1, stdout);
    fflush(stdout);
}}

static void observe(void *context, int step, const int8_t *row, int32_t bytes)
{{
    (void)context;
    if (step >= 0 && step < {NAME}_STEPS) table[step] = crc32(table[step], row, (uint32_t)bytes);
}}

int main(int count, char **inputs)
{{
    static uint8_t arena[{NAME}_ARENA_BYTES + 4096] __attribute__((aligned(4096)));
    static uint8_t output[{NAME}_OUTPUT_BYTES + 4096];
    static {name}_input_t input[{NAME}_INPUT_BYTES + 4096];
    static {name}_t net;
    FILE *in = fopen(inputs[1], "rb");
{constants}
    while (fread(input, 1, {NAME}_INPUT_BYTES, in) == {NAME}_INPUT_BYTES) {{
        memset(table, 0, sizeof table);
        int error = {name}_init(&net, arena, {NAME}_ARENA_BYTES);
        {name}_observe(&net, observe, NULL);
        error |= {name}_run(&net, input, (int8_t *)output);
        uint32_t crc = crc32(0, output, {NAME}_OUTPUT_BYTES) + (uint32_t)error;
        fwrite(table, sizeof table, 1, stdout);
        put(crc);
    }}
    return 0;
}}
"""


@dataclass(frozen=True)
class Answers:
    """What a program said.

    constants  CRC-32 of each constant array, uint32 [arrays]
    digests    CRC-32 of each step's rows and, last, of the output: uint32 [inputs, steps + 1]; 0 after a crash or an
               endless loop, as if nothing had been computed
    """

    constants: np.ndarray
    digests: np.ndarray


class Program:
    """A network's C as a program on this computer, compiled anew for each mutant as far as need be."""

    def __init__(self, folder: Path, name: str, files: Mapping[str, bytes], steps: int, arrays: Sequence[str]) -> None:
        """arrays: the constants, without the prefix."""
        self._folder, self._files = folder, dict(files)
        self._steps, self._arrays = steps, len(arrays)
        crcs = [f"    put(crc32(0, {name}_{array}, sizeof {name}_{array}));" for array in arrays]
        driver = _DRIVER.format(name=name, NAME=name.upper(), constants="\n".join(crcs))
        self._files["driver.c"] = driver.encode()
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in self._files.items():
            (folder / path).write_bytes(data)
        self._sources = [path for path in self._files if path.endswith(".c")]
        for source in self._sources:
            assert self._compile(folder / source, folder / f"{source}.o", folder), source

    def text(self, file: str) -> str:
        return self._files[file].decode()

    @contextlib.contextmanager
    def built(self, mutant: Mutant | None = None) -> Iterator[Path | None]:
        """The program with a fault in it; None if it does not compile."""
        with tempfile.TemporaryDirectory(dir=self._folder) as temporary:
            yield self._build(mutant, Path(temporary))

    def _build(self, mutant: Mutant | None, here: Path) -> Path | None:
        objects = {source: self._folder / f"{source}.o" for source in self._sources}
        if mutant is not None:
            (here / mutant.file).write_text(mutant.text)
            for source in self._readers(mutant.file):
                if source != mutant.file:
                    (here / source).write_bytes(self._files[source])
                objects[source] = here / f"{source}.o"
                if not self._compile(here / source, objects[source], here):
                    return None
        linked = subprocess.run(["gcc", *objects.values(), "-o", here / "program"], capture_output=True)
        return here / "program" if linked.returncode == 0 else None

    def run(self, program: Path, inputs: Sequence[bytes]) -> Answers:
        file = program.with_name("inputs.bin")
        file.write_bytes(b"".join(inputs))
        done = subprocess.run([program, file], capture_output=True, preexec_fn=_limit)
        found = np.zeros(self._arrays + len(inputs) * (self._steps + 1), np.uint32)
        data = np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], "<u4")[: found.size]
        found[: data.size] = data
        return Answers(found[: self._arrays], found[self._arrays :].reshape(len(inputs), -1))

    def _readers(self, file: str) -> list[str]:
        """A source itself, or those that include a header, directly or through another one."""
        seen = {file}
        while True:
            names = [f'"{one}"'.encode() for one in seen]
            more = {path for path, data in self._files.items() if any(name in data for name in names)} - seen
            if not more:
                return [path for path in self._sources if path in seen]
            seen |= more

    def _compile(self, source: Path, target: Path, folder: Path) -> bool:
        command = ["gcc", *_FLAGS, f"-I{folder}", f"-I{self._folder}", "-c", source, "-o", target]
        return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
