"""Images in one queue -> what the devices make of them, as many as there are; one that dies gives its images back.

The host computes the next images while the lines are busy, and each line carries the next image while its device works.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mbn2c.commands.verify.device import Device, Instructions
from mbn2c.commands.verify.one_image import Bench, Outcome, Prepared, Tally
from mbn2c.commands.verify.second_look import Finding, FirstAnswer, first_look, second_look
from mbn2c.errors import BoardError, DeviceFaultError

_IDLE_S = 0.05
_END_S = 5.0
# Images that are prepared ahead, for each device.
_AHEAD = 4
# Wrong answers of a device that are looked at twice; where only digests come, all are: the bytes are wanted.
_MOST_SECOND_LOOKS = 8


class _Queue:
    """Images between the thread that prepares them, the devices' threads, and the one that judges."""

    def __init__(self, bench: Bench, todo: Sequence[int], devices: int) -> None:
        self._bench, self._todo = bench, todo
        self._room = threading.Semaphore(_AHEAD * devices)
        self._ready: queue.SimpleQueue[Prepared] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Outcome | Exception] = queue.SimpleQueue()
        self.stop = threading.Event()

    def prepare(self) -> None:
        try:
            for position in self._todo:
                while not self._room.acquire(timeout=_IDLE_S):
                    if self.stop.is_set():
                        return
                self._ready.put(self._bench.prepare(position))
        except Exception as error:
            self.done.put(error)

    def take(self, wait_s: float) -> Prepared | None:
        """The next image; None if there is none within that time: another device may yet fail and give one back."""
        with suppress(queue.Empty):
            return self._ready.get(timeout=wait_s) if wait_s else self._ready.get_nowait()
        return None

    def give_back(self, prepared: Prepared) -> None:
        self._ready.put(prepared)

    def finish(self, outcome: Outcome) -> None:
        self._room.release()
        self.done.put(outcome)


class DeviceLostError(BoardError):
    """A line failed for good; the other devices go on with its images."""


@dataclass(frozen=True)
class _Suspect:
    """An image whose first answer is wrong."""

    prepared: Prepared
    first: FirstAnswer
    cycles: int

    def outcome(self, finding: Finding) -> Outcome:
        return Outcome(self.prepared, finding, cycles=self.cycles)


def finished_images(
    bench: Bench, devices: Sequence[Device], todo: Sequence[int], lost: list[str]
) -> Generator[tuple[Prepared, Tally], None, None]:
    """Each image and its Tally, as the devices finish them.

    lost    is told of each device that fails, in words
    raises  BoardError when no device is left, DeviceFaultError when the fault is a device's own: no other one can make
            that good
    """
    images = _Queue(bench, todo, len(devices))
    threads = [threading.Thread(target=images.prepare, daemon=True)]
    threads += [threading.Thread(target=_work, args=(bench, device, images), daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    left, working = len(todo), len(devices)
    try:
        while left:
            item = images.done.get()
            if isinstance(item, Outcome):
                left -= 1
                yield item.prepared, bench.judge(item)
                continue
            if not isinstance(item, DeviceLostError):
                raise item
            if isinstance(fault := item.__cause__, DeviceFaultError):
                what = item.what if len(devices) > 1 else fault.what
                raise DeviceFaultError(what, where=fault.where, hint=fault.hint) from fault
            working -= 1
            if working == 0:
                raise item.__cause__ or item
            lost.append(item.what)
    finally:
        images.stop.set()
        for thread in threads:
            thread.join(_END_S)


def _work(bench: Bench, device: Device, images: _Queue) -> None:
    """One device's thread: images until it is told to stop, or its line fails."""
    instructions = Instructions(device.transport, bench.models.spec.height)
    flying: deque[Prepared] = deque()
    suspects: list[_Suspect] = []
    looked_at = 0  # suspects so far

    def take(wait_s: float) -> bytes | None:
        if images.stop.is_set() or suspects:
            return b""
        prepared = images.take(wait_s)
        if prepared is None:
            return None
        flying.append(prepared)
        return prepared.frame

    try:
        # What is asked for beside the output, or counted from outside, allows one image at a time only.
        if bench.options.layers or instructions.are_counted:
            while not images.stop.is_set():
                if take(_IDLE_S):
                    outcome = bench.examine(flying[0], device, instructions)
                    flying.popleft()
                    images.finish(outcome)
            return
        session, digest = device.session, bench.options.digest
        while not images.stop.is_set():
            for answer in session.digest_many(take) if digest else session.run_many(take):
                prepared = flying.popleft()
                first = FirstAnswer.of(prepared.expected, answer, session.last_fault)
                one = _Suspect(prepared, first, device.cycles)
                if first.is_right or (looked_at >= _MOST_SECOND_LOOKS and not digest):
                    images.finish(one.outcome(first_look(first)))
                else:
                    suspects.append(one)
                    looked_at += 1
            while suspects:
                one = suspects[0]
                images.finish(one.outcome(second_look(one.first, one.prepared.frame, session)))
                suspects.pop(0)
    except BoardError as error:
        for one in suspects:
            images.finish(one.outcome(first_look(one.first)))
        for prepared in flying:
            images.give_back(prepared)
        failed = DeviceLostError(f"{device.name or 'a device'}: {error.what}")
        failed.__cause__ = error
        images.done.put(failed)
    except Exception as error:
        images.done.put(error)
