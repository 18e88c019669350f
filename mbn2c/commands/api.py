"""What `import mbn2c` offers: the commands as functions with typed results. Nothing is printed; errors are raised."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mbn2c.commands.build import build as build_bundle
from mbn2c.commands.build_options import BuildOptions, core_and_board
from mbn2c.commands.explore.families import FAMILIES
from mbn2c.commands.explore.points import SIZES, WIDTHS, ExploreOptions
from mbn2c.commands.explore.points import explore as explore_networks
from mbn2c.commands.host_network import HostNetwork
from mbn2c.commands.inspect import ModelInspection, inspect_model
from mbn2c.commands.output_folder import OutputFolder, check_folder, write_build
from mbn2c.commands.verify import VerifyOptions, verify_on_all
from mbn2c.commands.verify.open_devices import Place, open_devices
from mbn2c.errors import UsageError
from mbn2c.report.exploration import Exploration
from mbn2c.report.record import BuildRecord
from mbn2c.tasks.inputs import Preprocess

PathLike = str | Path


@dataclass(frozen=True)
class Verification:
    """What a device was found to compute.

    verified        in words, what of the output folder ran
    first_mismatch  in words; None if nothing differs
    result          all of it, as `mbn2c verify --json` has it, with what the task says of the answers
    """

    verified: str
    board: str
    core: str
    images: int
    outputs_compared: int
    device_vs_reference_mismatches: int
    reference_vs_ort_int8_mismatches: int
    stress_mismatches: int
    unstable_images: int
    first_mismatch: str | None
    result: Mapping[str, Any]

    @property
    def is_exact(self) -> bool:
        """Whether device, reference and ONNX Runtime agree in every byte of every image."""
        return not (
            self.device_vs_reference_mismatches
            or self.reference_vs_ort_int8_mismatches
            or self.stress_mismatches
            or self.unstable_images
        )


def inspect(model: PathLike, *, target: str | None = None, board: str | None = None) -> ModelInspection:
    """What an ONNX file is and takes before any build: about so on every target, or as planned for one.

    target, board  names; None: all targets
    raises         Mbn2cError subclasses; see `mbn2c.errors`
    """
    is_all = target is None and board is None
    return inspect_model(Path(model), *((None, None) if is_all else core_and_board(target, board)))


def explore(
    *,
    target: str | None = None,
    board: str | None = None,
    families: Sequence[str] = (),
    widths: Sequence[float] = (),
    sizes: Sequence[int] = (),
    classes: int = 1000,
    model: PathLike | None = None,
    max_ms: float | None = None,
    fits_only: bool = False,
    jobs: int = 1,
) -> Exploration:
    """What untrained networks take, as `mbn2c explore` says.

    target, board  names; one of them at least
    families       of "v1", "v2", "v3-small", "v3-large"; of these, widths and sizes the command's where none are said
    model          ONNX file whose widths and sizes are changed instead
    max_ms         leave out what may take longer; fits_only: what the board does not hold
    jobs           processes; more than 1 only where the caller's module may be imported again
    raises         Mbn2cError subclasses; see `mbn2c.errors`
    """
    core, found = core_and_board(target, board)
    if unknown := set(families) - set(FAMILIES):
        raise UsageError(f"no family is called {sorted(unknown)}", hint=f"of {', '.join(FAMILIES)}")
    asked = ExploreOptions(
        core=core,
        board=found,
        families=tuple(families) or tuple(FAMILIES),
        model=None if model is None else Path(model),
        widths=tuple(widths) or WIDTHS,
        sizes=tuple(sizes) or SIZES,
        classes=classes,
        max_ms=max_ms,
        fits_only=fits_only,
        jobs=jobs,
    )
    return explore_networks(asked)


def build(
    model: PathLike,
    out: PathLike,
    *,
    target: str | None = None,
    board: str | None = None,
    calib: PathLike | None = None,
    preprocess: str | tuple[Sequence[float], Sequence[float]] | None = None,
    optimize: str = "balanced",
    force: bool = False,
    **options: Any,
) -> BuildRecord:
    """Quantize, plan, write C into the folder `out` and compile it, as `mbn2c build` does.

    target, board  names; one of them at least
    calib          images folder, .npz, or "random"
    preprocess     "unit", "pm1", "imagenet", or (mean, std) in units of RGB / 255
    force          overwrite what mbn2c did not write
    options        any other field of `commands.build_options.BuildOptions`
    raises         Mbn2cError subclasses; see `mbn2c.errors`
    """
    core, found = core_and_board(target, board)
    unknown = set(options) - {one.name for one in fields(BuildOptions)}
    if unknown:
        raise TypeError(f"build() has no option {sorted(unknown)}")
    check_folder(Path(out), force=force)
    asked = BuildOptions(
        model=Path(model),
        core=core,
        board=found,
        calib=None if calib is None else str(calib),
        preprocess=_preprocess(preprocess),
        optimize=optimize,
        **options,
    )
    write_build(build_bundle(asked), Path(out), force=force)
    return OutputFolder(Path(out)).record


def _preprocess(said: str | tuple[Sequence[float], Sequence[float]] | None) -> Preprocess | None:
    if said is None:
        return None
    return Preprocess.named(said) if isinstance(said, str) else Preprocess(tuple(said[0]), tuple(said[1]))


def load(out: PathLike) -> HostNetwork:
    """What `mbn2c build` wrote, to be run in numpy: `load("out/person").run(images)` computes what the device computes.

    raises  UsageError if the folder is not as the build wrote it
    """
    return HostNetwork(OutputFolder(Path(out)))


def verify(
    out: PathLike,
    images: PathLike,
    *,
    board: str | None = None,
    ports: Sequence[str] = (),
    labels: PathLike | None = None,
    limit: int | None = None,
    layers: bool = False,
) -> Verification:
    """Run images through a device and compare, as `mbn2c verify` does.

    board   emulated one, or "host"; by default that of the build
    ports   serial ports of real boards instead
    layers  compare every layer and name the first bad one
    raises  Mbn2cError subclasses; what differs is no error but in the result
    """
    output = OutputFolder(Path(out))
    name = board or output.record.board
    if not ports and name is None:
        raise UsageError("no device to verify", hint='board="host", or another; `mbn2c boards` lists them')
    places = [Place(port=port) for port in ports] or [Place(emulated=str(name))]
    options = VerifyOptions(Path(images), None if labels is None else Path(labels), limit, layers)
    with tempfile.TemporaryDirectory(prefix="mbn2c-") as folder, contextlib.ExitStack() as opened:
        devices, lost = open_devices(output, places, Path(folder), opened)
        result = verify_on_all(output, devices, options, lost)
    named = {one.name: result[one.name] for one in fields(Verification) if one.name != "result"}
    return Verification(**named, result=result)
