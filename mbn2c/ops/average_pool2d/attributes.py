"""The attributes of average_pool2d, how ONNX says them, and how many pixels each of its windows counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.window import Window
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.reading import read_pool_window
from mbn2c.ops.base.requantize import AnyRequantize

Pad = tuple[int, int, int, int]


@dataclass(frozen=True)
class AveragePool2dAttributes:
    """average_pool2d, input (x); pads are zeros.

    The global average pool is the window that covers the whole input.

    uncounted   how many of the pads on each side, the outermost ones, do not count: a window that reaches there is
                divided by fewer pixels. (top, left, bottom, right), as in `Window.pad`
    requantize  with uncounted pads it has an entry for each number of pixels that counts, see `entries`
    """

    window: Window = Window()
    requantize: AnyRequantize | None = None
    uncounted: Pad = (0, 0, 0, 0)

    @property
    def counts_all(self) -> bool:
        """Whether every window is divided by the same number."""
        return not any(self.uncounted)

    @property
    def counted_pad(self) -> Pad:
        """The pads that count."""
        top, left, bottom, right = (pad - less for pad, less in zip(self.window.pad, self.uncounted, strict=True))
        return top, left, bottom, right

    @property
    def words(self) -> str:
        """As the Graph is printed."""
        return "" if self.counts_all else f"uncounted {','.join(map(str, self.uncounted))}"


def entries(attributes: AveragePool2dAttributes, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of pixels that windows count, and which of them each output has.

    height, width  of the input
    returns        int64 [K], ascending; int64 [H_out, W_out], each below K
    """
    window, pad = attributes.window, attributes.counted_pad
    rows, columns = (
        [
            sum(-pad[axis] <= place < size + pad[axis + 2] for place in window.places(axis, position))
            for position in range(window.output_size(height, width)[axis])
        ]
        for axis, size in ((0, height), (1, width))
    )
    found, places = np.unique(np.outer(rows, columns), return_inverse=True)
    return found, places.reshape(len(rows), len(columns))


def read_average_pool(call: OnnxCall, height: int, width: int) -> AveragePool2dAttributes:
    """Those of an AveragePool on an input of height x width.

    source  ONNX operator AveragePool; pads that ceil_mode adds never count
    """
    window, extra = read_pool_window(call, height, width)
    if window.dilation != (1, 1):
        raise call.refuse(f"{call.op} with dilations is not supported", "use a pool without dilations")
    counts_pads = call.integer("count_include_pad", 0)
    return AveragePool2dAttributes(window, uncounted=(0, 0, *extra) if counts_pads else window.pad)
