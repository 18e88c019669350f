"""Images in one queue -> what the devices make of them, as many as there are; one that dies gives its images back.

The host computes the next images while the lines are busy, and each line carries the next image while its device works.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress

from mbn2c.errors import BoardError
from mbn2c.verify.one_image import Bench, Device, Instructions, Outcome, Prepared, Tally

_IDLE_S = 0.05
_END_S = 5.0
# Images that are prepared ahead, for each device.
_AHEAD = 4


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
    """A device failed for good; the others go on with its images."""


def finished_images(
    bench: Bench, devices: Sequence[Device], todo: Sequence[int], lost: list[str]
) -> Generator[tuple[int, Tally], None, None]:
    """Position and Tally of each image, as the devices finish them.

    lost    is told of each device that fails, in words
    raises  BoardError when no device is left
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
                yield item.prepared.position, bench.judge(item)
                continue
            if not isinstance(item, DeviceLostError):
                raise item
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
    suspects: list[Prepared] = []  # whose output has another digest than it should

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
        if not bench.options.digest:
            for got in device.session.run_many(take):
                images.finish(Outcome(flying.popleft(), got, cycles=device.cycles))
            return
        while not images.stop.is_set():
            for crc in device.session.digest_many(take):
                prepared = flying.popleft()
                if crc == zlib.crc32(prepared.expected):
                    images.finish(Outcome(prepared, prepared.expected, cycles=device.cycles))
                else:
                    suspects.append(prepared)
            while suspects:
                got = device.session.run(suspects[0].frame)
                images.finish(Outcome(suspects.pop(0), got, cycles=device.cycles))
    except BoardError as error:
        for prepared in (*flying, *suspects):
            images.give_back(prepared)
        failed = DeviceLostError(f"{device.name or 'a device'}: {error.what}")
        failed.__cause__ = error
        images.done.put(failed)
    except Exception as error:
        images.done.put(error)
