"""A stand-in for generated C: the functions of design.md section 6 over a very small network.

step 0  row r of `row_bytes`: x + r, wrapping (one row per input row)
step 1  the sum of all step 0 rows, wrapping, one row at the end
output  the first `output_bytes` of step 1, cyclic
"""

from __future__ import annotations

import hashlib
import zlib

import numpy as np

HEADER = """#ifndef PERSON_H
#define PERSON_H
#include <stddef.h>
#include <stdint.h>
#define PERSON_ARENA_BYTES {arena}
#define PERSON_INPUT_ROWS {rows}
#define PERSON_INPUT_CHANNELS {channels}
#define PERSON_INPUT_ROW_BYTES {row_bytes}
#define PERSON_INPUT_BYTES {input_bytes}
#define PERSON_OUTPUT_BYTES {output_bytes}
#define PERSON_STEPS 2
#define PERSON_DIGEST {{ {digest} }}
typedef int8_t person_input_t;
typedef struct {{
    int8_t bytes[PERSON_ARENA_BYTES] __attribute__((aligned(16)));
}} person_arena_t;
typedef struct {{
    int8_t *arena;
    int32_t row;
    void (*observer)(void *context, int step, const int8_t *row, int32_t bytes);
    void *context;
}} person_t;
int person_init(person_t *net, void *arena, size_t arena_bytes);
int person_run(person_t *net, const int8_t *input, int8_t *output);
int person_begin(person_t *net);
int person_push_rows(person_t *net, const int8_t *rows, int count);
int person_finish(person_t *net, int8_t *output);
int person_observe(person_t *net, void (*observer)(void *context, int step, const int8_t *row, int32_t bytes),
                    void *context);
#endif
"""

SOURCE = """#include "person.h"
#include <string.h>

static const int8_t person_weights[64] = {{ {weights} }};

int person_init(person_t *net, void *arena, size_t arena_bytes)
{{
    if (arena_bytes < PERSON_ARENA_BYTES) {{
        return -1;
    }}
    net->arena = arena;
    net->observer = 0;
    net->context = 0;
    return 0;
}}

int person_observe(person_t *net, void (*observer)(void *context, int step, const int8_t *row, int32_t bytes),
                    void *context)
{{
    net->observer = observer;
    net->context = context;
    return 0;
}}

int person_begin(person_t *net)
{{
    net->row = 0;
    memset(net->arena, 0, PERSON_ARENA_BYTES);
    return 0;
}}

int person_push_rows(person_t *net, const int8_t *rows, int count)
{{
    int8_t *sum = net->arena;
    int8_t *made = net->arena + PERSON_INPUT_ROW_BYTES;
    for (int i = 0; i < count; i++, net->row++) {{
        if (net->row >= PERSON_INPUT_ROWS) {{
            return -2;
        }}
        for (int32_t c = 0; c < PERSON_INPUT_ROW_BYTES; c++) {{
            made[c] = (int8_t)(uint8_t)(rows[i * PERSON_INPUT_ROW_BYTES + c] + net->row * person_weights[c % 64]);
            sum[c] = (int8_t)(uint8_t)(sum[c] + made[c]);
        }}
        if (net->observer != 0) {{
            net->observer(net->context, 0, made, PERSON_INPUT_ROW_BYTES);
        }}
    }}
    return 0;
}}

int person_finish(person_t *net, int8_t *output)
{{
    if (net->row != PERSON_INPUT_ROWS) {{
        return -3;
    }}
    if (net->observer != 0) {{
        net->observer(net->context, 1, net->arena, PERSON_INPUT_ROW_BYTES);
    }}
    for (int32_t i = 0; i < PERSON_OUTPUT_BYTES; i++) {{
        output[i] = net->arena[i % PERSON_INPUT_ROW_BYTES];
    }}
    return 0;
}}

int person_run(person_t *net, const int8_t *input, int8_t *output)
{{
    int error = person_begin(net);
    if (error == 0) {{
        error = person_push_rows(net, input, PERSON_INPUT_ROWS);
    }}
    return error != 0 ? error : person_finish(net, output);
}}
"""


class DummyModel:
    """The C of the network above, and what it must compute."""

    def __init__(self, rows: int = 5, row_bytes: int = 288, output_bytes: int = 10, arena: int = 0) -> None:
        self.rows, self.row_bytes, self.output_bytes = rows, row_bytes, output_bytes
        self.arena = max(arena, 2 * row_bytes)
        self.weights = np.arange(64, dtype=np.int64) % 5 + 1
        self.digest = hashlib.sha256(repr((rows, row_bytes, output_bytes, arena)).encode()).digest()

    def files(self) -> dict[str, bytes]:
        header = HEADER.format(
            arena=self.arena,
            rows=self.rows,
            channels=3 if self.row_bytes % 3 == 0 else 1,
            row_bytes=self.row_bytes,
            input_bytes=self.rows * self.row_bytes,
            output_bytes=self.output_bytes,
            digest=", ".join(str(byte) for byte in self.digest),
        )
        source = SOURCE.format(weights=", ".join(str(value) for value in self.weights))
        return {"person.h": header.encode(), "person.c": source.encode()}

    def frame(self, seed: int) -> bytes:
        size = self.rows * self.row_bytes
        return np.random.default_rng(seed).integers(-128, 128, size).astype(np.int8).tobytes()

    def steps(self, frame: bytes) -> list[list[bytes]]:
        """Rows of each step."""
        x = np.frombuffer(frame, np.int8).reshape(self.rows, self.row_bytes).astype(np.int64)
        taps = np.resize(self.weights, self.row_bytes)
        made = (x + np.arange(self.rows)[:, None] * taps).astype(np.int8)
        total = made.astype(np.int64).sum(axis=0).astype(np.int8)
        return [[row.tobytes() for row in made], [total.tobytes()]]

    def output(self, frame: bytes) -> bytes:
        total = np.frombuffer(self.steps(frame)[1][0], np.int8)
        return np.resize(total, self.output_bytes).tobytes()


def step_digests(model: DummyModel, frame: bytes) -> list[int]:
    """CRC-32 of the rows of each step."""
    return [zlib.crc32(b"".join(rows)) for rows in model.steps(frame)]
