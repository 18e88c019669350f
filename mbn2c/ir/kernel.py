"""What the planner and the emitter know of a C kernel: a row of the tables in `kernels/<isa>.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mbn2c.ir.graph import Graph, Node

# Of a tensor that others lie in: kernels reach eight pixels with offsets of 16 bits.
LONGEST_PIXEL_BYTES = 8191
# The array of numbers that `Parts` point to, among those of the first layer that has some.
SHARED_NUMBERS = "shared"


@dataclass(frozen=True)
class ChannelStride:
    """A param that the Plan decides: bytes between the channels of planar rows that a kernel reads."""

    tensor: str


@dataclass(frozen=True)
class OutStride:
    """A param that the Plan decides: bytes between the channels of planar rows that a kernel makes; of interleaved rows
    minus the bytes between the pixels."""

    tensor: str


@dataclass(frozen=True)
class PixelStride:
    """A param that the Plan decides: bytes from one pixel of a tensor to the next, more than a pixel has in a slice.

    pixels  or to the one so many pixels further
    """

    tensor: str
    pixels: int = 1


@dataclass(frozen=True)
class Parts:
    """A param that is a table of C functions, one table for all layers of a network that have it.

    A kernel calls the parts of its core through it. What no layer needs is NULL there, so the linker keeps only what is
    needed, and kernel files are the same for every network.

    name     of the table, behind the network's prefix
    type     C type of the table
    members  its members in C order, each the functions of an array ("" where there is none), or just one function
    numbers  uint32, the same in all tables of a network that have some: its last member points to them, or to nothing;
             None: it has no such member
    """

    name: str
    type: str
    members: tuple[tuple[str, ...] | str, ...]
    numbers: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Packed:
    """The constants of one call, as C will read them.

    fields        the params struct's members by name, in C order: a number, the name of one of `arrays`, what the Plan
                  decides, or a table of functions
    arrays        int8, int16, int32 or uint32 arrays by member name
    int8_weights  how many bytes of the arrays are the weights themselves; None: those of the array "weights"
    alternatives  the same for the kernel's alternatives
    """

    fields: Mapping[str, int | str | ChannelStride | OutStride | PixelStride | Parts]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    int8_weights: int | None = None
    alternatives: tuple[Packed, ...] = ()

    @property
    def shared_numbers(self) -> tuple[int, ...]:
        """Those that its tables of functions point to."""
        return next((one.numbers for one in self.fields.values() if isinstance(one, Parts) and one.numbers), ())

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        others = sum(packed.size_bytes for packed in self.alternatives)
        return others + sum(array.nbytes for array in self.arrays.values())

    def array_bytes(self, member: str) -> int:
        """Bytes of the arrays of that name, the alternatives' too."""
        own = self.arrays[member].nbytes if member in self.arrays else 0
        return own + sum(packed.array_bytes(member) for packed in self.alternatives)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights themselves, without biases, tables and padding."""
        others = sum(packed.weight_bytes for packed in self.alternatives)
        if self.int8_weights is not None:
            return others + self.int8_weights
        return others + (self.arrays["weights"].nbytes if "weights" in self.arrays else 0)


@dataclass(frozen=True)
class Rates:
    """What a kernel costs, in instructions.

    mac     per multiply-accumulate
    output  per output value: bias, requantize, store
    run     per call: dispatch, row addresses, entry and exit, loop set-up
    weight  per byte of weights and call: what is done once however many pixels the call makes
    moved   per byte that leaves a strip on this core
    lone    per byte of weights and pixel that is missing to a full block of `block` pixels
    """

    mac: float
    output: float
    run: float
    weight: float
    moved: float
    lone: float = 0.0
    block: int = 1


def _no_scratch(node: Node, graph: Graph) -> int:
    return 0


def always(node: Node, graph: Graph) -> bool:
    """Of whatever node."""
    return True


def _never(node: Node, graph: Graph) -> bool:
    return False


def _no_parts(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class Params:
    """A C struct of a kernel's constants.

    name     of the type
    members  (C type, name, what a reader should know of it or "") in order
    """

    name: str
    members: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class ScalarKernel:
    """The plain C99 kernel of an operator, which runs on every core: what `Kernel` says, as far as it differs.

    name         the function is mbn_<name>_s8_scalar, in scalar/<name>.c; one that accumulates has a _finish beside it
    takes_int16  activations of its nodes may be int16, and one is; then it is mbn_<name>_s16_scalar, in <name>_s16.c
    weight_bits  of the weights of its nodes
    """

    name: str
    params: Params
    pack: Callable[[Node, Graph], Packed]
    accepts: Callable[[Node, Graph], bool] = always
    scratch_bytes: Callable[[Node, Graph], int] = _no_scratch
    accumulates: bool = False
    takes_int16: bool = False
    weight_bits: int = 8
    reads_slices: Callable[[Node, Graph], bool] = _never
    writes_slices: bool = False
    wants_place: bool = False
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """One C kernel.

    function          C name; a kernel that accumulates has `<function>_finish` too
    params            C type of its constants
    source            path below templates/kernels of the C file
    pack              node -> constants
    rates             what it costs
    rates_in_strip    what the kernel costs that runs in its place where its input lies in a strip, which is never
                      planar; None if it runs there itself
    accepts           whether the kernel can do this node; the next row of the table is asked otherwise
    takes_int16       for nodes with an int16 activation, and no others
    weight_bits       for nodes whose weights have so many bits, and no others; 8 where they have none
    scratch_bytes     working memory of one call
    more_sources      other C files it calls
    headers           headers below templates/kernels; the first declares the kernel
    parts             node, the pixel counts it is called with, whether it writes planar rows -> which functions it
                      calls of its tables of Parts
    reads_planar      wants its input rows as [channel][padded column], all others are [padded column][channel]
    writes_planar     whether it can write such rows of this node's output
    reads_slices      whether the pixels of this node's inputs may lie further apart than they are long; it asks a
                      `PixelStride`
    writes_slices     whether those of its output may
    wants_place       whether it is told, behind its other arguments, which output row it makes and which column comes
                      first, padding not counted
    reads_past_bytes  how many bytes behind its input rows it may read (and not use)
    alternatives      what runs in its place where the processor lacks its ISA: the first whose ISA it has
    """

    op: str
    isa: str
    function: str
    params: str
    source: str
    pack: Callable[[Node, Graph], Packed]
    rates: Rates
    accepts: Callable[[Node, Graph], bool] = always
    scratch_bytes: Callable[[Node, Graph], int] = _no_scratch
    accumulates: bool = False
    takes_int16: bool = False
    weight_bits: int = 8
    more_sources: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    parts: Callable[[Node, Graph, Sequence[int], bool], frozenset[str]] = _no_parts
    reads_planar: bool = False
    writes_planar: Callable[[Node, Graph], bool] = _never
    reads_slices: Callable[[Node, Graph], bool] = _never
    writes_slices: bool = False
    wants_place: bool = False
    reads_past_bytes: int = 0
    rates_in_strip: Callable[[Node, Graph], Rates] | None = None
    alternatives: tuple[Kernel, ...] = ()

    @property
    def ways(self) -> tuple[Kernel, ...]:
        """The kernel itself and its alternatives."""
        return (self, *self.alternatives)
