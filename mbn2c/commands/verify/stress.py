"""The stress set: what a device must answer besides the images, whoever's they are.

Its constants must have the checksums that the compiler packed, and on a few synthetic inputs every layer must have the
digest of the integer reference, which in turn must equal ONNX Runtime. Each device is asked: every board is its own
hardware.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.layers import compare_layers
from mbn2c.commands.verify.one_image import Models
from mbn2c.errors import BoardError, DeviceFaultError, GateError
from mbn2c.network.int8_oracle import Comparison
from mbn2c.network.stress_inputs import StressRecipe, open_stress, stress_codes
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.progress import Progress
from mbn2c.tasks.inputs import Sample


@dataclass
class StressTally:
    """What devices and ONNX Runtime made of the set.

    inputs, steps, constants  compared on each device; all 0 if it was not run
    device_mismatches         inputs on which a layer differs, and constant arrays that differ, over all devices
    oracle_mismatches         bytes of the reference that differ from ONNX Runtime
    first_bad                 what differs, in words
    """

    inputs: int = 0
    steps: int = 0
    constants: int = 0
    device_mismatches: int = 0
    oracle_mismatches: int = 0
    first_bad: tuple[str, ...] = ()


def run_stress(
    stress: StressSet, devices: Sequence[Device], lost: list[str], progress: Progress
) -> tuple[list[Device], StressTally]:
    """The stress set on all devices at once -> the devices that are left, and what was found.

    What differed on a device counts even if its line fails later.

    lost    is told of each device whose line fails, in words
    raises  BoardError when no device is left, DeviceFaultError when the fault is a device's own
    """
    found: list[list[str]] = [[] for _ in devices]
    failed: dict[int, Exception] = {}
    ticks: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(number: int) -> None:
        left = len(stress)
        try:
            for _ in stress.run(devices[number], found[number]):
                left -= 1
                ticks.put(None)
        except Exception as error:
            failed[number] = error
        finally:
            for _ in range(left):
                ticks.put(None)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(devices))]
    for thread in threads:
        thread.start()
    for _ in progress(range(len(devices) * len(stress)), "stress set", len(devices) * len(stress)):
        ticks.get()
    for thread in threads:
        thread.join()
    bad = [text for one in found for text in one]
    for number, error in sorted(failed.items()):
        if not isinstance(error, BoardError) or isinstance(error, DeviceFaultError):
            raise after_findings(bad, error)
        lost.append(f"{devices[number].name or 'a device'}: {error.what}")
        if len(failed) == len(devices):
            raise after_findings(bad, error)
    left = [device for number, device in enumerate(devices) if number not in failed]
    return left, stress.tally(left[0], bad)


def after_findings(bad: Sequence[str], error: Exception) -> Exception:
    """What to raise for an error of a device when something was found to differ before: that stays exit code 1."""
    if not bad or not isinstance(error, BoardError):
        return error
    what = f"stress inputs, constant arrays or images that differ: {len(bad)}, then: {error.what}"
    return GateError(what, where=bad[0], hint=error.hint)


@dataclass(frozen=True)
class _Input:
    """An input as the host has computed it; fields as in `one_image.Prepared`."""

    name: str
    frame: bytes
    reference: Mapping[str, np.ndarray]
    comparison: Comparison


class StressSet:
    """The inputs of an output folder, computed on the host once for all devices, when the first one needs them."""

    def __init__(self, output: OutputFolder, models: Models) -> None:
        """Raises UsageError if the report's recipes are none."""
        self._output, self._models = output, models
        self._recipes = open_stress(output.record.stress)
        self._prepared: list[_Input] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._recipes)

    def run(self, device: Device, bad: list[str]) -> Iterator[None]:
        """One step for each input; `bad` is told what differs, in words. Raises BoardError if the line fails."""
        name = f"{device.name}, " if device.name else ""
        expected = device.expectations(self._output)
        for number, array in enumerate(expected.constants):
            if device.session.constant(number) != (array.size_bytes, array.crc):
                bad.append(
                    f"{name}constant array {array.name} ({array.owner or 'input'}): other bytes than were packed"
                )
        for number in range(len(self)):
            one = self._input(number)
            found = compare_layers(device.session, expected, one.frame, one.reference)
            if found.bad or found.unstable:
                bad.append(f"{name}{one.name}, {'; '.join(filter(None, (found.bad, found.unstable)))}")
            yield

    def _input(self, number: int) -> _Input:
        with self._lock:
            while len(self._prepared) <= number:
                sample = stress_sample(self._models, self._recipes[len(self._prepared)])
                _, frame, reference, comparison = self._models.compared(sample, are_codes=False)
                self._prepared.append(_Input(sample.name, frame, reference, comparison))
            return self._prepared[number]

    def tally(self, device: Device, bad: Sequence[str]) -> StressTally:
        """bad: what differs on all devices; one of them stands for what was compared on each."""
        expected = device.expectations(self._output)
        oracle = {
            f"{one.name}, {where}: reference against ONNX Runtime": count
            for one in self._prepared
            for where, count in one.comparison.differing.items()
        }
        return StressTally(
            len(self),
            len(expected.plan.calls),
            len(expected.constants),
            len(bad),
            sum(oracle.values()),
            (*bad, *oracle),
        )


def stress_sample(models: Models, recipe: StressRecipe) -> Sample:
    """Raw pixels, or the real numbers that the network's input quantizes to the recipe's codes."""
    graph, name = models.graph, f"stress input '{recipe}'"
    tensor = graph.inputs[0].tensor
    pixels = recipe.pixels(*graph.tensors[tensor].shape[1:])
    if models.takes_pixels:
        return Sample(name, pixels=pixels)
    quant = quant_of(graph, tensor)
    real = (stress_codes(graph, pixels, None).astype("float32") - quant.zero_point) * scale_of(quant)
    return Sample(name, values=models.spec.from_nhwc(real.astype("float32")))
