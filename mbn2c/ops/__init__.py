"""The operators by name: every module of this package has one; what they share is in `ops/base`.

A new operator is a file here and, if no lookup table serves, a scalar C file of the same name.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from mbn2c.ir.graph import Node
from mbn2c.ir.window import Activation
from mbn2c.ops.base.operator import Operator
from mbn2c.ops.base.weighted import Weighted
from mbn2c.ops.clamp import Clamp, ClampAttributes


def _operator_of(module: str) -> Operator:
    """The one operator that the module defines, which has the module's name."""
    found = [
        value()
        for value in vars(import_module(f"{__name__}.{module}")).values()
        if isinstance(value, type) and issubclass(value, Operator) and getattr(value, "name", None) == module
    ]
    assert len(found) == 1, f"ops/{module}.py defines {len(found)} operators called {module}"
    return found[0]


_MODULES = sorted(module.name for module in iter_modules(__path__) if module.name != "base")
OPERATORS: dict[str, Operator] = {name: _operator_of(name) for name in _MODULES}


def operator_of(node: Node) -> Operator:
    """The operator of a node. Raises KeyError if there is none."""
    return OPERATORS[node.op]


def weighted_of(node: Node | None) -> Weighted | None:
    """The node's operator, if it has weights."""
    operator = None if node is None else OPERATORS[node.op]
    return operator if isinstance(operator, Weighted) else None


def clamp_to(low: float, high: float, source: str, name: str) -> Node:
    """The node that makes tensor `name` of tensor `source`, no value below or above these."""
    return Node(name, Clamp.name, (source,), (name,), ClampAttributes(Activation(low, high)))
