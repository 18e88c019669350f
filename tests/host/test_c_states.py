"""Every call of the generated C in every state of a context: an error code, never a crash; under sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

from c_states import assert_expected, source
from host_c import SANITIZE, compile_c, write_c
from tiny_nets import tiny_nets

ON_HOST = """#include <stdio.h>
int main(void) { for (int s = 0; s < %d; s++) for (int c = 0; c < %d; c++) putchar(code(s, c)); return 0; }
"""


def test_on_this_machine(tmp_path: Path) -> None:
    sources = write_c(tmp_path, [tiny_nets()["stream"]])
    (tmp_path / "states.c").write_text(source(ON_HOST))
    compile_c(tmp_path, [*sources, "states.c"], *SANITIZE, "-o", "states", "-lm", standard="-std=gnu11")
    done = subprocess.run([tmp_path / "states"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    assert_expected(done.stdout)
