"""A blob of constants on this machine: what is damaged or written in part is never run, the rest is the reference's.

One program, two memories for blobs: 10,000 updates go into the one that is not in use, most of them damaged or broken
off.
"""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from host_c import SANITIZE_ANY, STRICT, Net, compile_c, with_twins
from models import tiny_mobilenet_v1, tiny_mobilenet_v2
from networks import int8_inputs, plan_with_cuts, quantized
from tiny_nets import tables_for

from mbn2c.emit.packages.blob import blob_folder, blob_version
from mbn2c.errors import UsageError
from mbn2c.files.bundle import Bundle, write_bundle
from mbn2c.ir.graph import Graph
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core

SANITIZE = ("-O1", *SANITIZE_ANY[1:])
VERSIONS = 40
UPDATES = 10_000
DAMAGES = (
    "none",
    "broken off",
    "bits",
    "bytes",
    "page of before",
    "pages swapped",
    "zeros",
    "head",
    "other program",
    "cut",
)


def network(seed: int, scale: float = 4.0) -> Graph:
    """One network trained again, as far as C can tell: other weights, the ranges of before."""
    graph = tiny_mobilenet_v1(seed=seed)
    names = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    return quantize(graph, {name: Range(-scale, scale) for name in names})


def folder_of(graph: Graph, version: str, model: int = 0, isas: tuple[str, ...] = ("scalar",), **more: Any) -> Bundle:
    net = Net("person", plan_with_cuts(graph, [], (), isas), isas=isas, **more).planned
    names = replace(net.names, digest=bytes([model]) * 32)
    return blob_folder(net.plan, net.kernels, names, load_core("host"), version)


@cache
def graphs() -> tuple[Graph, Graph]:
    return network(0), network(1)


def blob_of(graph: Graph, version: str) -> bytes:
    return folder_of(graph, version)["blob/person.blob"]


def with_version(blob: bytes, version: str) -> bytes:
    checked = struct.pack("<I", blob_version(version)) + blob[24:]
    return blob[:16] + struct.pack("<I", zlib.crc32(checked)) + checked


DRIVER = r"""
#include "person.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS = @VERSIONS@, UPDATES = @UPDATES@, INPUTS = 2, PAGE = 256, SLOT = PERSON_BLOB_BYTES + 100 };

static uint8_t blobs[VERSIONS][PERSON_BLOB_BYTES], other[PERSON_BLOB_BYTES];
static int8_t inputs[INPUTS][PERSON_INPUT_BYTES], expected[2][INPUTS][PERSON_OUTPUT_BYTES];
static PERSON_ARENA(arena);

/* Where the next update is broken off: at every byte in turn. */
static uint32_t cut;

static uint32_t state = 1;
static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

static void read_all(const char *name, void *to, size_t count)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL || fread(to, 1, count, file) != count) exit(2);
    fclose(file);
}

/* Writes `wanted` into an erased slot, with some damage. */
static void update(uint8_t *slot, const uint8_t *wanted, const uint8_t *before, int damage)
{
    memset(slot, 0xff, SLOT);
    memcpy(slot, damage == 8 ? other : wanted, damage == 1 ? cut++ % PERSON_BLOB_BYTES : PERSON_BLOB_BYTES);
    const uint32_t pages = PERSON_BLOB_BYTES / PAGE, page = draw(pages) * PAGE, second = draw(pages) * PAGE;
    uint8_t kept[PAGE];
    switch (damage) {
    case 2: for (uint32_t i = 1 + draw(4); i > 0; i--) slot[draw(PERSON_BLOB_BYTES)] ^= (uint8_t)(1u << draw(8)); break;
    case 3: for (uint32_t i = 1 + draw(64); i > 0; i--) slot[draw(PERSON_BLOB_BYTES)] = (uint8_t)draw(256); break;
    case 4: memcpy(slot + page, before + page, PAGE); break;
    case 5:
        memcpy(kept, slot + page, PAGE);
        memcpy(slot + page, slot + second, PAGE);
        memcpy(slot + second, kept, PAGE);
        break;
    case 6: memset(slot + page, 0, PAGE); break;
    case 7: slot[draw(96)] = (uint8_t)draw(256); break;
    case 9: memmove(slot, slot + 1 + draw(PAGE), PERSON_BLOB_BYTES - PAGE); break;
    }
}

/* Which version of the blobs lies there, all bytes compared; -1: none. */
static int version_in(const uint8_t *slot)
{
    for (int i = 0; i < VERSIONS; i++) {
        if (memcmp(slot, blobs[i], PERSON_BLOB_BYTES) == 0) return i;
    }
    return -1;
}

int main(void)
{
    static person_t net;
    static int8_t output[PERSON_OUTPUT_BYTES];
    uint8_t *slots[2];
    long wrong = 0, differing = 0, lost = 0, updated = 0, runs = 0;
    read_all("blobs.bin", blobs, sizeof blobs);
    read_all("other.bin", other, sizeof other);
    read_all("inputs.bin", inputs, sizeof inputs);
    read_all("expected.bin", expected, sizeof expected);
    for (int i = 0; i < 2; i++) {
        slots[i] = (uint8_t *)aligned_alloc(16, (SLOT + 15) / 16 * 16);
        memset(slots[i], 0xff, SLOT);
    }
    if (person_newest_blob((const void *const *)slots, 2, SLOT) != NULL) return 3;
    memcpy(slots[0], blobs[0], PERSON_BLOB_BYTES);
    int version = 0, used = 0;
    for (int i = 0; i < UPDATES; i++) {
        if (version == VERSIONS - 1) { /* as delivered */
            memset(slots[1], 0xff, SLOT);
            memcpy(slots[0], blobs[0], PERSON_BLOB_BYTES);
            version = used = 0;
        }
        const int damage = draw(100) == 0 ? 0 : i % 2 == 0 ? 1 : 2 + (int)draw(8);
        update(slots[1 - used], blobs[version + 1], slots[used], damage);
        printf("%d %d\n", damage, person_check_blob(slots[1 - used], SLOT));
        const uint8_t *const newest = (const uint8_t *)person_newest_blob((const void *const *)slots, 2, SLOT);
        const int is_whole = memcmp(slots[1 - used], blobs[version + 1], PERSON_BLOB_BYTES) == 0;
        lost += newest != slots[is_whole ? 1 - used : used];
        if (newest == NULL) continue;
        const int runs_version = version_in(newest);
        wrong += runs_version < 0;
        updated += is_whole;
        if (is_whole || runs_version != version || i % 20 == 0) {
            if (person_init_blob(&net, newest, SLOT, &arena, sizeof arena) != PERSON_OK) return 4;
            for (int k = 0; k < INPUTS; k++, runs++) {
                if (person_run(&net, inputs[k], output) != PERSON_OK) return 5;
                differing += runs_version < 0 || memcmp(output, expected[runs_version % 2][k], sizeof output) != 0;
            }
        }
        version += is_whole;
        used = is_whole ? 1 - used : used;
    }
    /* A slot that is shorter than what lies in it, one that is not aligned, none. */
    const uint8_t *const slot = slots[used];
    const int codes[] = {person_check_blob(slot, 95), person_check_blob(slot, PERSON_BLOB_BYTES - 1),
                         person_check_blob(slot, PERSON_BLOB_BYTES), person_check_blob(slot + 1, SLOT - 1),
                         person_check_blob(NULL, SLOT), person_init_blob(&net, NULL, SLOT, &arena, sizeof arena)};
    for (int i = 0; i < 6; i++) printf("end %d\n", codes[i]);
    printf("end %ld %ld %ld %ld %ld\n", wrong, differing, lost, updated, runs);
    free(slots[0]);
    free(slots[1]);
    return 0;
}
"""


def run(folder: Path, code: Bundle, flags: Sequence[str] = SANITIZE) -> list[list[int]]:
    """Numbers of each line that the driver prints, and "end" as -1."""
    (one, other), folders = graphs(), folder / "blob"
    write_bundle(code, folder)
    first, second = blob_of(one, "1.0.0"), blob_of(other, "1.1.0")
    assert with_version(first, "1.1.0") == blob_of(one, "1.1.0")
    blobs = b"".join(with_version((first, second)[number % 2], f"1.{number}.0") for number in range(VERSIONS))
    inputs = list(int8_inputs(one, 4, seed=3))[2:]
    outputs = [
        run_graph(graph, {"input": values})[graph.outputs[0].tensor] for graph in (one, other) for values in inputs
    ]
    (folders / "blobs.bin").write_bytes(blobs)
    (folders / "other.bin").write_bytes(blob_of(network(0, 3.0), "9.0.0"))
    (folders / "inputs.bin").write_bytes(b"".join(values.tobytes() for values in inputs))
    (folders / "expected.bin").write_bytes(b"".join(values.tobytes() for values in outputs))
    driver = DRIVER.replace("@VERSIONS@", str(VERSIONS)).replace("@UPDATES@", str(UPDATES))
    (folders / "driver.c").write_text(driver)
    sources = sorted(path.name for path in folders.glob("*.c"))
    compile_c(folders, sources, *flags, "-o", "program", "-lm", standard="-std=gnu11")
    done = subprocess.run([str(folders / "program")], cwd=folders, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[:3000]}"
    return [[int(word) for word in line.replace("end", "-1").split()] for line in done.stdout.splitlines()]


def code_of(graph: Graph) -> Bundle:
    return {path: content for path, content in folder_of(graph, "1.0.0").items() if path.endswith((".c", ".h"))}


def codes(code: Bundle) -> dict[str, int]:
    return {
        name: int(number)
        for name, number in re.findall(r"#define PERSON_(\w+) (\d+)\b", code["blob/person.h"].decode())
    }


def test_no_damaged_blob_is_run(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    code = code_of(graphs()[0])
    said = codes(code)
    *attempts, short, too_short, whole, odd, none, no_init, end = run(tmp_path, code)
    wrong, differing, lost, updated, runs = end[1:]
    assert (wrong, differing, lost) == (0, 0, 0)
    assert Counter(DAMAGES[kind] for kind, _ in attempts)["broken off"] > said["BLOB_BYTES"]  # at every byte
    assert updated > UPDATES / 200 and runs > UPDATES / 20
    told = [one[1] for one in (short, too_short, whole, odd, none, no_init)]
    size, argument = said["E_BLOB_SIZE"], said["E_ARGUMENT"]
    assert told == [size, size, said["OK"], argument, argument, argument]
    found = {damage: {code for kind, code in attempts if DAMAGES[kind] == damage} for damage in DAMAGES}
    assert found["none"] == {said["OK"]}
    assert found["other program"] == {said["E_BLOB_PROGRAM"]}
    assert found["bits"] >= {said["E_BLOB_DAMAGED"], said["E_BLOB_PROGRAM"]}
    assert found["head"] == {code for name, code in said.items() if name.startswith("E_BLOB_")} | {said["OK"]}
    assert Counter(DAMAGES[kind] for kind, _ in attempts).keys() == set(DAMAGES)


ONE_RUN = r"""
#include "person.h"
#include <stdio.h>

int main(void)
{
    static PERSON_ALIGNED uint8_t blob[PERSON_BLOB_BYTES];
    static PERSON_ARENA(arena);
    static person_t net;
    static int8_t input[PERSON_INPUT_BYTES], output[PERSON_OUTPUT_BYTES];
    FILE *file = fopen("person.blob", "rb"), *images = fopen("inputs.bin", "rb");
    if (fread(blob, 1, sizeof blob, file) != sizeof blob) return 2;
    if (person_init_blob(&net, blob, sizeof blob, &arena, sizeof arena) != PERSON_OK) return 3;
    while (fread(input, 1, sizeof input, images) == sizeof input) {
        if (person_run(&net, input, output) != PERSON_OK) return 4;
        fwrite(output, 1, sizeof output, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("shares_multipliers", [False, True])
def test_kernels_with_tables_of_functions(
    tmp_path: Path, need_tool: Callable[[str], str], shares_multipliers: bool
) -> None:
    """Those of arm_dsp, in plain C; multipliers that layers share stay in the program."""
    need_tool("gcc")
    graph = quantized(tiny_mobilenet_v2(), shares_multipliers=shares_multipliers)
    code = folder_of(graph, "1.0.0", isas=("arm_dsp", "scalar"))
    flat = with_twins({path.removeprefix("blob/"): content for path, content in code.items()})
    assert (b"_shared[" in flat["person_constants.c"]) == shares_multipliers
    inputs = list(int8_inputs(graph, 3, seed=1))
    write_bundle({**flat, "main.c": ONE_RUN.encode()}, tmp_path)
    (tmp_path / "inputs.bin").write_bytes(b"".join(values.tobytes() for values in inputs))
    sources = sorted(path for path in flat if path.endswith(".c"))
    compile_c(tmp_path, [*sources, "main.c"], *SANITIZE_ANY, "-o", "program", "-lm", standard="-std=gnu11")
    done = subprocess.run([str(tmp_path / "program")], cwd=tmp_path, capture_output=True, timeout=60)
    expected = [run_graph(graph, {"input": values})[graph.outputs[0].tensor].tobytes() for values in inputs]
    assert done.returncode == 0 and done.stdout == b"".join(expected), done.stderr.decode()[:2000]


def test_without_the_crc_wrong_ones_are_run(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """What the test above would see."""
    need_tool("gcc")
    code = code_of(graphs()[0])
    text = code["blob/person_blob.c"].decode()
    unchecked = re.sub(r"number_at\(head \+ CRC_AT\) != crc_of\(.*?\)\) \{", "0 && crc_of(head, 0)) {", text)
    assert unchecked != text
    wrong, differing, *_ = run(tmp_path, {**code, "blob/person_blob.c": unchecked.encode()}, ("-O1", "-w"))[-1][1:]
    assert wrong > UPDATES / 10 and differing > UPDATES / 10


def test_one_program_takes_what_gives_the_same_c() -> None:
    one, other = graphs()
    assert code_of(one) == code_of(other)
    assert blob_of(one, "1.0.0") != blob_of(other, "1.0.0")
    assert code_of(network(0, 3.0)) != code_of(one)  # other scales
    assert folder_of(one, "1.0.0", model=1)["blob/person.h"] == folder_of(one, "1.0.0", model=2)["blob/person.h"]


def test_it_compiles_without_a_warning(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """With tables of pixels, too, which are constants like others."""
    need_tool("gcc")
    code = folder_of(graphs()[0], "1.0.0", tables=tables_for(1))
    write_bundle(code, tmp_path)
    assert b"net->constants" in code["blob/person.c"] and b"person_pixels" not in code["blob/person.c"]
    sources = sorted(path.name for path in (tmp_path / "blob").glob("*.c"))
    compile_c(tmp_path / "blob", sources, *STRICT, "-fsyntax-only")
    compile_c(tmp_path / "blob", sources, "-x", "c++", "-Wall", "-Werror", "-fsyntax-only", standard="-std=c++11")


def test_versions_are_ordered_as_numbers() -> None:
    words = ["0.0.0", "0.0.4095", "0.1.0", "0.10.0", "1.0.0", "255.4095.4095"]
    numbers = [blob_version(word) for word in words]
    assert numbers == sorted(set(numbers)) and numbers[-1] == 2**32 - 1
    for word in ("256.0.0", "0.4096.0", "0.0.4096"):
        with pytest.raises(UsageError, match="no version of a blob"):
            blob_version(word)
