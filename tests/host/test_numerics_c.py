"""mbn_requantize of the C runtime passes the golden vectors."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from host_c import STRICT, compile_c
from places import VECTORS

from mbn2c.emit.network.c_values import int_literal
from mbn2c.emit.network.model import runtime_headers


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_c_passes_the_vectors(tmp_path: Path, need_tool: Callable[[str], str], compiler: str) -> None:
    need_tool(compiler)
    vectors = json.loads((VECTORS / "requantize.json").read_text())
    rows = ",\n".join("    {" + ", ".join(int_literal(value) for value in vector) + "}" for vector in vectors)
    for name, text in runtime_headers().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "vectors.c").write_text(
        '#include <stdio.h>\n#include "mbn_math.h"\n'
        f"static const int32_t rows[][5] = {{\n{rows}\n}};\n"
        "int main(void)\n{\n    int wrong = 0;\n"
        "    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {\n"
        "        const int8_t found = mbn_requantize(rows[i][0], rows[i][1], rows[i][2], rows[i][3]);\n"
        "        if (found != rows[i][4]) {\n"
        '            printf("row %u: %d, expected %d\\n", i, found, (int)rows[i][4]);\n            wrong = 1;\n'
        "        }\n    }\n    return wrong;\n}\n"
    )
    # A trap needs none of clang's own libraries, which Debian has in another package.
    end = "-fsanitize-trap=undefined" if compiler == "clang" else "-fno-sanitize-recover=all"
    flags = ("-O1", "-fsanitize=undefined", end)
    compile_c(tmp_path, ["vectors.c"], *STRICT, *flags, "-o", "vectors", compiler=compiler)
    done = subprocess.run([str(tmp_path / "vectors")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
