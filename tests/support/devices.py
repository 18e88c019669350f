"""Builds a model into a folder and runs it: the pipeline as the command line uses it, without its words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.commands import demo
from mbn2c.commands.build import BuildOptions, build
from mbn2c.commands.output_folder import OutputFolder, compile_folder, firmware_for, staged
from mbn2c.commands.verify import Device, VerifyOptions, verify, verify_on_all, verify_stages
from mbn2c.files.bundle import write_bundle
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.progress import Progress, Stages
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.inputs import Preprocess


def build_folder(folder: Path, options: BuildOptions, *, compiled: bool = False) -> OutputFolder:
    """The output folder of a build."""
    with staged(folder) as stage:
        write_bundle(build(options), stage)
        if compiled:
            compile_folder(stage)
    return OutputFolder(folder)


def demo_options(target: str, board: str | None = None) -> BuildOptions:
    """The bundled digits network for a core, quantized quickly: these tests ask for equal bytes, not for accuracy."""
    return BuildOptions(
        model=demo.MODEL_FILE,
        core=load_core(target),
        board=load_board(board) if board else None,
        calib=str(demo.CALIBRATION_FOLDER),
        effort="fast",
        preprocess=Preprocess.named(demo.PREPROCESS),
        input_kind="uint8",
        name="digits",
        labels=demo.CLASS_NAMES_FILE,
    )


def build_with_inputs(
    folder: Path, model: Path, shape: tuple[int, ...], core: str, board: str | None = None
) -> tuple[OutputFolder, Path]:
    """The output folder of a model quantized with four random inputs, and the inputs, for verify."""
    images = folder / "images.npz"
    np.savez(images, np.random.default_rng(4).uniform(0, 255, (4, *shape)).astype(np.float32))
    options = BuildOptions(
        model=model, core=load_core(core), board=load_board(board) if board else None, calib=str(images), name="net",
        effort="fast",
    )  # fmt: skip
    return build_folder(folder / "out", options), images


def verify_on(output: OutputFolder, board: str, folder: Path, options: VerifyOptions) -> dict[str, Any]:
    """The result of `mbn2c verify OUT --board BOARD`."""
    elf = firmware_for(output, load_board(board), folder)
    with EmulatedBoard(load_board(board), elf, count=True) as transport:
        session = Session(transport, digest=output.digest, timing=EMULATED)
        return verify(output, transport, session, options)


def verify_told(
    output: OutputFolder, devices: Sequence[Device], asked: VerifyOptions, progress: Progress
) -> dict[str, Any]:
    """`verify_on_all`, its loops reported to `progress`."""

    class Told(Stages):
        def begin(self, name: str) -> Progress:
            super().begin(name)
            return progress

    return verify_on_all(output, devices, asked, stages=Told(verify_stages(asked)))


def assert_exact(result: dict[str, Any], images: int) -> None:
    """Device, reference and ONNX Runtime agree on every byte of every image."""
    assert result["images"] == images
    assert result["outputs_compared"] > 0
    assert result["device_vs_reference_mismatches"] == 0, result["first_mismatch"]
    assert result["reference_vs_ort_int8_mismatches"] == 0, result["first_mismatch"]
