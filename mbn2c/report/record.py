"""What a build knows, typed: report.json, report.html and the text of `mbn2c build` are views of it.

The fields and their order are those of report.json (design.md, section 7); `SCHEMA` counts their versions. What a task
says of outputs and answers is the task's own, and stands here as it gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mbn2c.ir.graph import Note
from mbn2c.report.layers import LayerFacts, Shape
from mbn2c.report.time_facts import TimeFacts

SCHEMA = 1
# Sources of int8 scales beside the user's "images" and "npz".
PREQUANTIZED, NOISE, DRAWN = "given", "random", "drawn"
_WARNINGS = {
    NOISE: "calibrated on noise (--calib random): sizes are right, accuracy is not",
    DRAWN: "ranges estimated without images, accuracy not measured; add --calib FOLDER"
    " (20 to 200 images as the camera sees them)",
}


@dataclass(frozen=True)
class ModelFacts:
    """The network. sha256: of the user's file; int8_sha256: of model.int8.onnx."""

    name: str
    file: str
    sha256: str
    int8_sha256: str
    macs: int
    parameters: int


@dataclass(frozen=True)
class CalibrationFacts:
    """Where the int8 scales come from: "images", "npz", or one of the sources above.

    note  of drawn images: how they were preprocessed, and why
    """

    source: str
    images: int
    folders: tuple[str, ...]
    exif_rotated_images: int
    percentile: float | None
    effort: str | None
    note: str = ""

    @property
    def warning(self) -> str:
        """What every output says of scales that no image of the user's chose; "" if there is nothing to say."""
        return _WARNINGS.get(self.source, "")


@dataclass(frozen=True)
class PixelFacts:
    """(RGB / 255 - mean) / std, by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class BuildFacts:
    """What the command line said, and the task that was recognised.

    camera        `tasks.camera.Camera` as --camera says it, "" without
    slice         instructions of a slice, None without slices
    weights_in    layer -> the section of its weights, of those that lie apart
    prefetch      whether the C asks for weights that lie apart before each call
    one_body      whether one copy of the row loop's code serves all steps, for flash
    given         `network.int8_oracle.PrequantizedFacts` of a prequantized model
    is_raw        --task raw: nothing is decoded
    anchors       SHA-256 of the file of --anchors, "" without
    task_options  what may be said of the task, said or not
    """

    calibration: CalibrationFacts
    given: Mapping[str, Any] | None
    preprocess: PixelFacts | None
    resize: str
    camera: str
    slice: int | None
    weights_in: Mapping[str, str]
    one_body: bool
    prefetch: bool
    input: str
    optimize: str
    ram_limit: int | None
    flash_limit: int | None
    labels: tuple[str, ...]
    output_kinds: Mapping[str, str]
    task: str
    task_because: str
    is_raw: bool
    anchors: str
    box_coder: str
    task_options: Mapping[str, float]


@dataclass(frozen=True)
class InputFacts:
    """The int8 NHWC input, and the name it has in the ONNX file."""

    name: str
    shape: Shape
    scale: float
    zero_point: int


@dataclass(frozen=True)
class RamBytes:
    """Stack and total are None until the C is compiled. peak_step: where most bytes are alive, peak_layer: its node."""

    arena_bytes: int
    context_bytes: int
    stack_bytes: int | None
    total_bytes: int | None
    lower_bound_bytes: int
    peak_step: int
    peak_layer: str

    def with_stack(self, stack_bytes: int | None) -> RamBytes:
        """The same with a stack, and the total with it."""
        total = None if stack_bytes is None else self.arena_bytes + self.context_bytes + stack_bytes
        return replace(self, stack_bytes=stack_bytes, total_bytes=total)


@dataclass(frozen=True)
class SectionFacts:
    """Weights that lie apart from the other constants: their bytes, and those that one inference reads, as below."""

    size_bytes: int
    read_bytes: int


@dataclass(frozen=True)
class FlashBytes:
    """What the network takes of the flash.

    constants_bytes     all but weights
    code_bytes, total_bytes  None until the C is compiled
    weights_read_bytes  in one inference: every run of a kernel, a row or several, reads its weights once
    sections            of weights that lie apart, by name
    """

    weights_bytes: int
    constants_bytes: int
    code_bytes: int | None
    total_bytes: int | None
    weights_read_bytes: int
    sections: Mapping[str, SectionFacts]

    @property
    def own_bytes(self) -> int | None:
        """Of the flash that holds the code; None where the total is."""
        return (
            None
            if self.total_bytes is None
            else self.total_bytes - sum(one.size_bytes for one in self.sections.values())
        )

    def with_code(self, code_bytes: int | None) -> FlashBytes:
        """The same with machine code, and the total with it."""
        total = None if code_bytes is None else self.weights_bytes + self.constants_bytes + code_bytes
        return replace(self, code_bytes=code_bytes, total_bytes=total)


@dataclass(frozen=True)
class BufferFacts:
    """One tensor in the arena; fields as in `ir.plan.Buffer`."""

    tensor: str
    offset: int
    size_bytes: int
    slots: int
    rows: int
    strip_columns: int
    first_step: int
    last_step: int
    first_moment: int
    last_moment: int


@dataclass(frozen=True)
class ScratchFacts:
    """Working memory of one step; fields as in `ir.plan.Scratch`."""

    step: int
    offset: int
    size_bytes: int
    first_moment: int
    last_moment: int


@dataclass(frozen=True)
class LoopFacts:
    """One loop's steps and moments, and the most bytes alive in each of some equal parts of it."""

    first_step: int
    last_step: int
    first_moment: int
    last_moment: int
    live_bytes: tuple[int, ...]


@dataclass(frozen=True)
class TimelineFacts:
    """Moments in all, the fullest one, and the loops they are in."""

    moments: int
    peak_moment: int
    loops: tuple[LoopFacts, ...]


@dataclass(frozen=True)
class TradeOffFacts:
    """One plan that could be had.

    instructions       an estimate for comparing plans
    peak_layer         as in `RamBytes`
    weight_bytes_read  in one inference, as `FlashBytes.weights_read_bytes`
    """

    arena_bytes: int
    instructions: int
    weight_bytes_read: int
    loops: int
    layerwise: bool
    peak_layer: str
    chosen: bool


@dataclass(frozen=True)
class FoldedFacts:
    """What the passes took out of the network, counted and in words."""

    batch_norms: int
    activations: int
    pads: int
    removed_channels: int
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class TriedFacts:
    """One quantization method; fields as in `quantize.search.Tried`."""

    method: str
    sqnr_db: float
    agreement: float | None
    kept: bool


@dataclass(frozen=True)
class WorstLayer:
    """A layer whose rounding makes most of the noise at the outputs; fields as in `LayerFacts`."""

    name: str
    noise_share: float
    sqnr_db: float | None
    activation_sqnr_db: float | None
    weights_sqnr_db: float | None


@dataclass(frozen=True)
class Int16Layer:
    """A layer whose output is int16, and what it takes more than in the plan of the same network in int8 alone.

    buffer_bytes  where its output lies; the arena grows by the fullest moment, not by the sum
    instructions  as the planner estimates them: those of the layer and of the readers of its output, shared equally
                  among the int16 tensors that each of them reads and makes; that a plan cuts rows otherwise counts, too
    """

    name: str
    buffer_bytes: int
    instructions: int


@dataclass(frozen=True)
class Int16Facts:
    """The layers whose outputs are int16, in order, and what the network takes with and without them.

    instructions         of one inference, as the planner estimates them
    int8_arena_bytes,    of the same network in int8 alone, planned likewise
    int8_instructions
    """

    layers: tuple[Int16Layer, ...]
    arena_bytes: int
    instructions: int
    int8_arena_bytes: int
    int8_instructions: int


@dataclass(frozen=True)
class FourBitLayer:
    """A layer whose weights have four bits.

    saved_bytes  half of its weights
    noise        that they are expected to add at the outputs, beside that of rounding all activations, which is 1
    """

    name: str
    saved_bytes: int
    noise: float


@dataclass(frozen=True)
class WeightsPointFacts:
    """A network between 8 and four bits, judged on the images held back.

    flash_bytes  as expected of its plan, before compilation
    layers       that have weights of four bits
    sqnr_db      of outputs and last features
    agreement    share of decisions that are the float network's; None where the task has none
    chosen       whether it is the one that was built
    """

    flash_bytes: int
    layers: int
    sqnr_db: float
    agreement: float | None
    chosen: bool


@dataclass(frozen=True)
class QuantizationFacts:
    """How values are int8, and what that costs.

    int16              None where no layer's output is
    four_bits          the layers with such weights, in order
    weights_curve      networks between 8 and four bits, the largest first; empty without --weights-curve
    channels_per_path  how many output channels are requantized in which form; all are exact
    held_back          on images that the network was made without, as its task tells; None where nothing was held back
    """

    weights: str
    activations: str
    int16: Int16Facts | None
    four_bits: tuple[FourBitLayer, ...]
    weights_curve: tuple[WeightsPointFacts, ...]
    proved_channels: int
    channels_per_path: Mapping[str, int]
    tried: tuple[TriedFacts, ...]
    held_back: Mapping[str, Any] | None
    worst_layers: tuple[WorstLayer, ...]


@dataclass(frozen=True)
class FirmwareFacts:
    """The ELF in OUT, and how much of each memory it takes."""

    file: str
    memories: Mapping[str, int]


@dataclass(frozen=True)
class BuildRecord:
    """Everything a build knows.

    mbn2c            version that made it
    outputs          each with name, shape, scale, zero_point and tail, and what the task says of it
    time             of one inference, estimated
    fit              in words, why the plan is not the one that was asked for; "" if it is
    recomputed_macs  that the Plan's calls execute beyond the network's own, which layers computed twice count once
    stress           recipes of the stress set
    sources          C files of this network, where others lie beside it
    firmware         None without a board, and before compilation
    """

    schema: int
    mbn2c: str
    model: ModelFacts
    target: str
    board: str | None
    prefix: str
    build: BuildFacts
    input: InputFacts
    outputs: tuple[Mapping[str, Any], ...]
    ram: RamBytes
    flash: FlashBytes
    time: TimeFacts
    schedule: str
    fit: str
    recomputed_macs: int
    layers: tuple[LayerFacts, ...]
    buffers: tuple[BufferFacts, ...]
    scratch: tuple[ScratchFacts, ...]
    timeline: TimelineFacts
    trade_offs: tuple[TradeOffFacts, ...]
    folded: FoldedFacts
    quantization: QuantizationFacts
    stress: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    firmware: FirmwareFacts | None = None

    def with_sizes(
        self, code_bytes: int | None, stack_bytes: int | None, firmware: FirmwareFacts | None
    ) -> BuildRecord:
        """With what only a compiler knows; None where there is none."""
        ram, flash = self.ram.with_stack(stack_bytes), self.flash.with_code(code_bytes)
        return replace(self, ram=ram, flash=flash, firmware=firmware)
