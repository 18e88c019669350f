"""What the user asks of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mbn2c.tasks.camera import Camera
from mbn2c.tasks.inputs import Preprocess

RANDOM = "random"
# What `NetworkOptions.weights` may say besides "auto".
WEIGHTS_8, WEIGHTS_4 = "8", "4"


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What a network is made from.

    calib       images folder, .npz, or "random"; None: of a float model, drawn images
    preprocess  None where the calibration needs none, or the file says it
    percentile  100 lets the range method be searched
    effort      how long to look for a better quantization, one of `quantize.search.EFFORTS`
    input_kind  "int8" or "uint8": what the device's input rows hold
    max_drop    percent of accuracy that int8 may lose on images held back, with 95 % confidence; None: no gate
    calib_labels  CSV with the classes of the calibration images
    min_sqnr    dB that each output must have against the float model on images held back; None: no gate
    output_kinds  what the user says of an output, by name: one of `tasks.registry.all_kinds`
    task          name of the task, or RAW; "": as found
    task_options  what the user says of the task, by name
    anchors       .npy of a detector whose file has none
    box_coder     what its offsets and scores mean, one of `tasks.detection.anchors.BOX_CODERS`; "" without anchors
    recompute     percent of the multiply-accumulates that may be executed twice for less RAM; None: as few as make the
                  network fit where it would not otherwise
    camera        whose rows the device takes, too, and through which image files are read; None: none
    int16         names of layers whose outputs are int16, or ("auto",): those that are worth their RAM
    weights       "8": all have eight bits; "4": four wherever they may; "auto": four where flash is short, or where no
                  limit is set and it costs little; "": as "8", unless the board's flash is too small
    flash_limit   bytes of flash for the network in all
    weights_curve networks from 8 to four bits that are made and judged, for the curve of flash against agreement
    """

    model: Path
    calib: str | None = None
    calib_limit: int | None = None
    preprocess: Preprocess | None = None
    resize: str = "crop"
    percentile: float = 100.0
    effort: str = "default"
    input_kind: str = "int8"
    max_drop: float | None = None
    calib_labels: Path | None = None
    min_sqnr: float | None = None
    output_kinds: Mapping[str, str] = field(default_factory=dict)
    int16: tuple[str, ...] = ()
    weights: str = ""
    flash_limit: int | None = None
    weights_curve: int = 0
    task: str = ""
    task_options: Mapping[str, float] = field(default_factory=dict)
    anchors: Path | None = None
    box_coder: str = ""
    recompute: float | None = None
    camera: Camera | None = None
