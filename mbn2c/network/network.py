"""What is made of a model: an int8 Graph, its ONNX files, what is known of its quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mbn2c.ir.graph import Graph
from mbn2c.network.checks import Sqnr
from mbn2c.quantize.calibrate import Observed
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.protocol import Json, Task

MODEL_INT8, MODEL_FLOAT32 = "model.int8.onnx", "model.float32.onnx"
# Only for a prequantized model: what ONNX Runtime makes of it, whose inner tensors are compared.
MODEL_FUSED = "model.fused.onnx"


@dataclass(frozen=True)
class Network:
    """An int8 network, checked against ONNX Runtime.

    task     what its outputs mean
    models   what goes into the output folder, by file name
    samples  calibration images, those that were drawn among them; None for noise
    preprocess  as the user says, else as the network's statistics say; None: nobody knows
    drawn    how drawn images were preprocessed, and why; "" where the images are the user's
    sqnr     dB by tensor; empty without a float model
    costs    share of each layer's rounding in the noise at the outputs
    held_back  `HeldBack` as JSON, and what the task says of it; None where nothing was held back
    prequantized  `PrequantizedFacts` as JSON for a prequantized model
    tried    quantization methods that were tried, for the report
    weights_sqnr  dB by layer
    int8_only  about what the Graph would be without int16, for its size; None if it has none
    four_bits  the layers whose weights have four bits, and what each adds to the noise of all activations, which is 1
    weights_curve  networks between 8 and four bits, `quantize.search.WeightsPoint` each
    observed   what each activation holds on the images that its range is from; empty without images
    """

    graph: Graph
    task: Task
    models: Mapping[str, bytes]
    samples: Samples | None
    sqnr: Sqnr
    preprocess: Preprocess | None = None
    drawn: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)
    held_back: Json | None = None
    prequantized: Mapping[str, object] | None = None
    tried: tuple[Mapping[str, object], ...] = ()
    weights_sqnr: Mapping[str, float | None] = field(default_factory=dict)
    int8_only: Graph | None = None
    four_bits: Mapping[str, float] = field(default_factory=dict)
    weights_curve: tuple[Json, ...] = ()
    observed: Mapping[str, Observed] = field(default_factory=dict)

    @property
    def int8_model(self) -> bytes:
        """The bytes of the int8 ONNX file."""
        return self.models[MODEL_INT8]
