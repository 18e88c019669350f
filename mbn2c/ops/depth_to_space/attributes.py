"""The attributes of depth_to_space, which all of its imports make."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.ops.base.copying import Table


@dataclass(frozen=True)
class DepthToSpaceAttributes:
    """depth_to_space, input (x).

    block              (rows, columns) that one input pixel becomes
    crop               (top, left, bottom, right): so many rows and columns of what that makes are left out
    is_channels_first  input channel c * parts + part is channel c of a part of the block, ONNX's mode CRD;
                       else part * C + c, its mode DCR
    table              int8 form: what each value becomes, for -128 first; None where it stays itself
    """

    block: tuple[int, int]
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    is_channels_first: bool = False
    table: Table | None = None

    @property
    def parts(self) -> int:
        """Pixels of a block."""
        return self.block[0] * self.block[1]

    @property
    def words(self) -> str:
        """As the Graph is printed."""
        return f"{self.block[0]}x{self.block[1]}"
