"""mbn2c: trained MobileNets (ONNX) to bit-exact int8 C for microcontrollers.

    record = mbn2c.build("model.onnx", "out", target="cortex-m7", calib="images/", preprocess="unit")
    print(record.ram.total_bytes)
    assert mbn2c.verify("out", "images/", board="qemu-mps2-an500").is_exact
    scores = mbn2c.load("out").run("images/").answers

The functions and their results are imported when they are first used; `__init__.pyi` has their types.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "build", "explore", "inspect", "load", "verify"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mbn2c' has no attribute '{name}'")
    return getattr(importlib.import_module("mbn2c.commands.api"), name)
