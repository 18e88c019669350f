"""The operators of a float model that cannot compile, all in one message, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from onnx import NodeProto

from mbn2c.errors import ModelError
from mbn2c.frontend.load import is_prequantized_operator
from mbn2c.frontend.nodes import describe, domain_of
from mbn2c.frontend.operators import IMPORTERS, OFFERED, SUPPORTED, WEIGHTED
from mbn2c.frontend.order import used_names
from mbn2c.tasks.tails import BEHIND_OUTPUTS, TAIL_OF_OPERATOR, TAILS

# Operators that only change how a tensor is looked at, so that they may stand behind a tail too.
PASS_ON = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_HINTS = {
    **BEHIND_OUTPUTS,
    **{tail.operator: "it may only end the network" for tail in TAILS.values() if tail.over_classes},
}
_OUTSIDE = "leave what is behind the last layer to your program"


def hint_for(kind: str, at_the_end: bool = False) -> str:
    """What to do about an operator; at_the_end: no layer with weights comes after it."""
    return BEHIND_OUTPUTS.get(kind, _OUTSIDE) if at_the_end else _HINTS.get(kind, SUPPORTED)


def refuse_unsupported(nodes: Sequence[NodeProto], constants: Iterable[str]) -> None:
    """Name all operators that cannot compile before any work is done.

    nodes   those the outputs depend on, in order
    raises  ModelError
    """
    missing = _missing(nodes, constants)
    if not missing:
        return
    places = _Places(nodes)
    kinds: dict[str, list[NodeProto]] = {}
    for node in missing:
        kinds.setdefault(f"{domain_of(node)}.{node.op_type}".lstrip("."), []).append(node)
    first, *others = kinds
    raise ModelError(
        f"operator {first} is not supported"
        + (" there" if missing[0].op_type in TAIL_OF_OPERATOR else "")
        + (f" (nor {', '.join(others)})" if others else ""),
        where="; ".join(f"{describe(found[0])}{_more(found)}, {places.words(found)}" for found in kinds.values()),
        hint=_hints({kind: hint_for(found[0].op_type, places.at_the_end(found)) for kind, found in kinds.items()}),
    )


def _missing(nodes: Sequence[NodeProto], constants: Iterable[str]) -> list[NodeProto]:
    """The nodes that are neither constant nor supported; of what may end a network those that do not."""
    known = set(constants)
    unsupported: list[NodeProto] = []
    for node in nodes:
        if is_prequantized_operator(node.op_type):
            raise ModelError(
                "the model is already quantized, where a float32 one is needed",
                where=describe(node),
                hint="give the float32 model; mbn2c quantizes it itself, with --calib",
            )
        needed = node.input[:1] if node.op_type == "CastLike" else used_names(node)
        fixed = node.op_type in ("Constant", "Shape", "Size") or all(name in known for name in needed)
        if fixed:
            known.update(node.output)
        elif (domain_of(node), node.op_type) not in IMPORTERS and node.op_type != "If":
            unsupported.append(node)
    refused = {id(node) for node in unsupported}
    # A tail is wrong only where a supported layer reads it; else it ends what is left of the network.
    worked_on: set[str] = set()
    inner = set()
    for node in reversed(nodes):
        is_tail = node.op_type in TAIL_OF_OPERATOR and (domain_of(node), node.op_type) not in OFFERED
        if is_tail and node.output[0] in worked_on:
            inner.add(id(node))
        passes = node.op_type in PASS_ON and not worked_on.intersection(node.output)
        if id(node) not in refused and not passes:
            worked_on.update(used_names(node))
    return [node for node in nodes if id(node) in refused | inner]


class _Places:
    """Whether a layer with weights comes after a node."""

    def __init__(self, nodes: Sequence[NodeProto]) -> None:
        self._before_weights: set[str] = set()
        for node in reversed(nodes):
            if node.op_type in WEIGHTED or self._before_weights.intersection(node.output):
                self._before_weights.update(used_names(node))

    def at_the_end(self, found: Collection[NodeProto]) -> bool:
        return not any(self._before_weights.intersection(node.output) for node in found)

    def words(self, found: Collection[NodeProto]) -> str:
        inside = sum(bool(self._before_weights.intersection(node.output)) for node in found)
        if inside in (0, len(found)):
            return "inside the network" if inside else "behind the last layer"
        return f"{inside} of them inside the network"


def _more(found: Sequence[NodeProto]) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""


def _hints(by_kind: dict[str, str]) -> str:
    if len(by_kind) == 1:
        return next(iter(by_kind.values()))
    kinds: dict[str, list[str]] = {}
    for kind, hint in by_kind.items():
        kinds.setdefault(hint, []).append(kind)
    # What has no hint of its own has this one for all, last.
    rest = [SUPPORTED] if kinds.pop(SUPPORTED, None) else []
    return "; ".join([*(f"{', '.join(names)}: {hint}" for hint, names in kinds.items()), *rest])
