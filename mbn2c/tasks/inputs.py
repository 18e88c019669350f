"""What every task shares: raw pixels -> the float input of the network, pixel by pixel or as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.numerics import quantize_linear
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.tasks.camera import Camera

_BATCH, _HEIGHT, _WIDTH, _CHANNEL = range(4)


@dataclass(frozen=True)
class InputSpec:
    """How the network sees an image: the shape and permutation of the Graph's input Port.

    shape        in the ONNX file, batch fixed to 1
    permutation  ONNX axis k is NHWC axis permutation[k]
    camera       whose frames the image files stand for; None: they are scaled as files
    """

    shape: tuple[int, ...]
    permutation: tuple[int, ...]
    camera: Camera | None = None

    @property
    def nhwc(self) -> tuple[int, int, int, int]:
        """Extents of the input in NHWC order."""
        return nhwc_extents(self.shape, self.permutation)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.nhwc[_HEIGHT]

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.nhwc[_WIDTH]

    @property
    def channels(self) -> int:
        """Channels of a pixel."""
        return self.nhwc[_CHANNEL]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample in the ONNX file's axis order, without the batch axis."""
        return sample_shape(self.shape, self.permutation)

    def to_nhwc(self, values: np.ndarray) -> np.ndarray:
        """ONNX axis order -> [1, H, W, C]."""
        return to_nhwc(values, self.permutation)

    def from_nhwc(self, values: np.ndarray) -> np.ndarray:
        """[1, H, W, C] -> ONNX axis order, shape `self.shape`."""
        return from_nhwc(values, self.shape, self.permutation)


def sample_shape(shape: Sequence[int], permutation: Sequence[int]) -> tuple[int, ...]:
    """The shape of an ONNX value without its batch axis; permutation: as in a Port."""
    return tuple(extent for extent, axis in zip(shape, permutation, strict=True) if axis != _BATCH)


def nhwc_extents(shape: Sequence[int], permutation: Sequence[int]) -> tuple[int, int, int, int]:
    """The NHWC shape of an ONNX value whose axis k is NHWC axis permutation[k]; axes not named have extent 1."""
    extents = [1, 1, 1, 1]
    for extent, axis in zip(shape, permutation, strict=True):
        extents[axis] = extent
    return (extents[0], extents[1], extents[2], extents[3])


def to_nhwc(values: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    """A value in ONNX axis order -> [1, H, W, C]; permutation: as in a Port."""
    missing = [1] * (4 - len(permutation))
    return values.reshape([*missing, *values.shape]).transpose(np.argsort(_order(permutation)))


def from_nhwc(values: np.ndarray, shape: Sequence[int], permutation: Sequence[int]) -> np.ndarray:
    """[1, H, W, C] -> an ONNX value of this shape; permutation: as in a Port."""
    return np.ascontiguousarray(values.transpose(_order(permutation)).reshape(shape))


def _order(permutation: Sequence[int]) -> list[int]:
    """All four NHWC axes, those that the ONNX value leaves out first."""
    return [*(axis for axis in range(4) if axis not in permutation), *permutation]


@dataclass(frozen=True)
class Preprocess:
    """(pixel / 255 - mean) / std, each step in float32.

    mean, std  one number for all channels, or one per channel, in units of RGB / 255
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, numbers in (("--mean", self.mean), ("--std", self.std)):
            if len(numbers) < 1 or not np.isfinite(numbers).all():
                raise UsageError(f"{name} {list(numbers)} is not a list of numbers", hint="e.g. 0.485,0.456,0.406")
        if min(self.std) <= 0:
            raise UsageError(f"--std {list(self.std)} must be positive", hint="numbers are in units of RGB / 255")
        with np.errstate(over="ignore", divide="ignore"):
            mean, std = np.array(self.mean, np.float32)[:, None], np.array(self.std, np.float32)
            black, white = (np.float32(0) - mean) / std, (np.float32(1) - mean) / std
        if not (np.isfinite(black) & np.isfinite(white) & (black < white)).all():
            what = f"--mean {list(self.mean)} and --std {list(self.std)} leave no pixel values in float32"
            raise UsageError(what, hint="numbers are in units of RGB / 255")

    @classmethod
    def named(cls, name: str) -> Preprocess:
        """`unit` is RGB / 255, `pm1` is RGB / 127.5 - 1, `imagenet` has the usual six numbers.

        raises  UsageError for another name
        """
        if name not in USUAL:
            raise UsageError(f"no preprocessing is called '{name}'", hint=f"one of {', '.join(USUAL)}")
        return USUAL[name]

    def suits_channels(self, channels: int) -> bool:
        """Whether there is a number for each channel, or one for all."""
        return all(len(numbers) in (1, channels) for numbers in (self.mean, self.std))

    def check_channels(self, channels: int) -> None:
        """raises  UsageError if the numbers are for another channel count"""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise UsageError(
                    f"the preprocessing has {len(numbers)} numbers for {name}, the model has {channels} channel(s)",
                    hint="give --mean and --std with one number per channel, or unit or pm1",
                )

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [..., C] -> float32 [..., C]."""
        self.check_channels(pixels.shape[-1])
        mean, std = (np.array(numbers, dtype=np.float32) for numbers in (self.mean, self.std))
        values: np.ndarray = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return values

    def pixel_values(self, channels: int) -> np.ndarray:
        """What `apply` makes of every pixel value: float32 [C, 256].

        Quantized by `numerics.quantize_linear` it is the device's input table, the same numbers as the host's path.
        """
        pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1)
        return np.ascontiguousarray(self.apply(pixels).T)


# What networks are usually trained with.
USUAL = {
    "unit": Preprocess((0.0,), (1.0,)),
    "pm1": Preprocess((0.5,), (0.5,)),
    "imagenet": Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
# Of a network that takes the bytes of pixels, 0 to 255.
AS_BYTES = Preprocess((0.0,), (1 / 255,))


def pixel_tables(graph: Graph, preprocess: Preprocess) -> np.ndarray:
    """What becomes of raw pixels in the int8 input: int8 [C, 256], by the same arithmetic as the host's path."""
    port = graph.inputs[0]
    quant = quant_of(graph, port.tensor)
    values = preprocess.pixel_values(graph.tensors[port.tensor].shape[3])
    return quantize_linear(values, scale_of(quant), quant.zero_point)


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, or one input taken as it is.

    name    file name; in an .npz the row number
    pixels  uint8 [1, H, W, C], or None if the sample came as floats
    values  float32 in the ONNX file's axis order with its batch axis, or None if it came as pixels
    """

    name: str
    pixels: np.ndarray | None = None
    values: np.ndarray | None = None

    def model_input(self, spec: InputSpec, preprocess: Preprocess) -> np.ndarray:
        """What ONNX Runtime is fed: float32 of shape spec.shape."""
        if self.values is not None:
            return self.values
        assert self.pixels is not None
        return spec.from_nhwc(preprocess.apply(self.pixels))
