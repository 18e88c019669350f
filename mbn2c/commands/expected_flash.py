"""A planned network -> the flash it will take, before anything is compiled, and whether its code must be small."""

from __future__ import annotations

from mbn2c.kernels.sections import bytes_in_sections
from mbn2c.planner.choice import Choice, constants_bytes
from mbn2c.targets import Board

# What the network's code takes of the flash, and the firmware's, until the compiler says it: as vww_96 and MobileNetV2
# 1.0, with 29 and 64 layers, on Cortex-M4 and M7. Where one body of code serves all steps a layer is its row of tables.
_CODE_BYTES, _CODE_BYTES_PER_NODE, _FIRMWARE_CODE_BYTES = 13 * 1024, 224, 6 * 1024
_TABLE_BYTES_PER_NODE = 96


def flash_limit_of(board: Board | None, limit: int | None) -> int | None:
    """What the network may take: the least of what the user says and what the board's flash leaves; None: anything."""
    if board is None or not board.memories:
        return limit
    size = board.memory("constants").size_bytes - _FIRMWARE_CODE_BYTES
    return min(size, limit or size)


def expected_flash_bytes(choice: Choice, limit: int | None) -> int:
    """Constants and code, without weights in sections of their own, in as many bytes as the limit leaves."""
    one_body = limit is not None and _flash_bytes(choice, one_body=False) > limit
    return _flash_bytes(choice, one_body=one_body)


def wants_one_body(choice: Choice, limit: int | None) -> bool:
    """Whether one body of code shall serve all steps: a limit is not kept without, or scales have given way to it."""
    if limit is None:
        return False
    quants = [tensor.quant for tensor in choice.plan.graph.tensors.values() if tensor.quant is not None]
    return any(quant.shares_multipliers for quant in quants) or _flash_bytes(choice, one_body=False) > limit


def _flash_bytes(choice: Choice, *, one_body: bool) -> int:
    per_node = _TABLE_BYTES_PER_NODE if one_body else _CODE_BYTES_PER_NODE
    apart = sum(bytes_in_sections(choice.plan, choice.kernels, choice.sections).values())
    return constants_bytes(choice) - apart + _CODE_BYTES + per_node * len(choice.plan.graph.nodes)
