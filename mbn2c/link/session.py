"""A conversation with one device, over any Transport: who it is, at which rate, inferences, measurements."""

from __future__ import annotations

import contextlib
import itertools
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from mbn2c.errors import BoardError, DeviceFaultError, Page
from mbn2c.link import wire
from mbn2c.link.dialogue import EMULATED, Dialogue, SilenceError, Timing, board_timing
from mbn2c.link.pipelined import Pipeline, RunResult
from mbn2c.link.reply_checks import TensorSizes, check_facts, check_texts, check_vitals
from mbn2c.link.stop_and_wait import UNSTABLE_HINT, StopAndWait, check_size
from mbn2c.link.transports.transport import Transport

__all__ = ["EMULATED", "Session", "TensorSizes", "Timing", "board_timing"]

_BAUD_TRIAL_S = 3.0
_HELLO_WAIT_S = 0.25
_RATE_SEARCH_S = 1.5
# How long one look for a new frame, or for an answer, takes while there is none.
_IDLE_S = 0.05
_LONGEST_PENALTY = 64


class Session:
    """A conversation with one device.

    digest   sha256 of the model that must run there; None to accept any
    sizes    of its input and output, which the device must tell likewise; None to accept any
    retries  requests sent more than once, and runs started more than once, so far
    runs     inferences asked for, and line_s the seconds they took, the device's own included
    sent_bytes, received_bytes  on the line
    last_cycles  the processor's, of the last inference; 0 if the device does not count them
    last_fault   in what the device contradicted itself during the last inference, in words; "" for nothing
    """

    def __init__(
        self,
        transport: Transport,
        *,
        digest: bytes | None = None,
        sizes: TensorSizes | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._line = Dialogue(transport, timing or Timing())
        self._digest, self._sizes = digest, sizes
        self._facts: wire.Facts | None = None
        self.runs = 0
        self.line_s = 0.0
        self.last_cycles = 0
        self.last_fault = ""
        self._stop_and_wait = StopAndWait(self._line)

    @property
    def retries(self) -> int:
        """Requests and runs started more than once, so far."""
        return self._line.retries

    @property
    def sent_bytes(self) -> int:
        """Bytes written to the line, so far."""
        return self._line.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Bytes read from the line, so far."""
        return self._line.received_bytes

    @property
    def transport(self) -> Transport:
        """The line the device is on."""
        return self._line.transport

    @property
    def facts(self) -> wire.Facts:
        """What the device said of itself; asks it if need be."""
        return self._facts if self._facts is not None else self.hello()

    def hello(self) -> wire.Facts:
        """Ask the device who it is. Raises BoardError if nobody answers, or if it is not the device we want."""
        return self._hello(self._line.timing.hello_s)

    def connect(self, baud: int, macs: int = 0) -> wire.Facts:
        """Find the device and talk at `baud` from now on, or at the first rate if that does not work.

        It is looked for at the line's rate, which it has after a reset, and at `baud`, where a session that broke off
        left it.

        macs    of the network: how long its slowest row may take
        raises  BoardError as `hello` does
        """
        give_up = time.monotonic() + self._line.timing.hello_s
        rates = itertools.cycle(dict.fromkeys((self._line.first_baud, baud)) if self._line.first_baud else (0,))
        while True:
            self._line.transport.set_baud(next(rates))
            left_s = give_up - time.monotonic()
            try:
                facts = self._hello(min(_RATE_SEARCH_S, left_s) if self._line.first_baud else left_s)
                break
            except SilenceError:
                if time.monotonic() >= give_up:
                    self._line.transport.set_baud(self._line.first_baud)
                    raise
        if macs:
            self._line.timing = board_timing(macs, facts.clock_hz, self._line.timing)
        if self._line.first_baud and baud != self._line.first_baud:
            if self._line.transport.baud == baud:
                self._line.fast_baud = baud
            else:
                with contextlib.suppress(BoardError):
                    self.set_baud(baud)
        return facts

    @property
    def baud(self) -> int:
        """The rate in use; 0 for streams without a rate."""
        return self._line.transport.baud

    def _hello(self, give_up_s: float) -> wire.Facts:
        facts = self._line.ask(wire.Hello(wire.PROTOCOL), wire.Facts, _HELLO_WAIT_S, give_up_s)
        check_texts(facts)
        if facts.protocol != wire.PROTOCOL:
            raise DeviceFaultError(
                f"the board speaks protocol {facts.protocol}, mbn2c speaks {wire.PROTOCOL}",
                where=f"{facts.board}, firmware of mbn2c {facts.version}",
                hint="build and flash the firmware anew",
            )
        if self._digest is not None and facts.digest != self._digest:
            there, wanted = facts.digest.hex()[:12], self._digest.hex()[:12]
            raise DeviceFaultError(
                f"the board runs another model: '{facts.name}' {there}, not {wanted}",
                where=f"{facts.board}, firmware of mbn2c {facts.version}",
                hint="flash the firmware of this output folder",
                page=Page.FIRMWARE,
            )
        check_facts(facts, self._sizes)
        self._facts = facts
        self._line.where = facts.board
        return facts

    def run(self, frame: bytes) -> bytes:
        """One inference: the int8 input frame (H x W x C) as bytes -> the int8 output as bytes."""
        with self._timed():
            return self._noted(self._one(frame, digests=False)).output or b""

    def run_many(self, take: Callable[[float], bytes | None]) -> Iterator[bytes]:
        """Inferences one after the other, the next one's input on the line while the device works: outputs in order.

        take    (seconds) -> the next frame; None if none comes within that time; b"" if none will come any more
        """
        return (answer.output or b"" for answer in self._many(take, digests=False))

    def digest_many(self, take: Callable[[float], bytes | None]) -> Iterator[int]:
        """As `run_many`; only the CRC-32 of each output comes back."""
        return (answer.crc for answer in self._many(take, digests=True))

    def _many(self, take: Callable[[float], bytes | None], *, digests: bool) -> Iterator[RunResult]:
        pipeline = None
        if self.facts.window_bytes:
            pipeline = Pipeline(self._line, self.facts, self._stop_and_wait.patience_s, digests=digests)
        frames: deque[bytes] = deque()
        stop_and_wait_left, penalty = 0, 1  # frames to run without the pipeline now, and after the next fault
        ended, since = False, 0.0
        with self._image():
            while frames or not ended:
                ahead = pipeline if stop_and_wait_left == 0 else None
                while not ended and (not frames if ahead is None else ahead.wants_more()):
                    frame = take(0.0 if frames else _IDLE_S)
                    if not frame:
                        ended = frame is not None
                        break
                    check_size(self.facts, frame)
                    if not frames:
                        self._line.begin_image(self._image_bytes)
                    frames.append(frame)
                    since = since or time.monotonic()
                    if ahead is not None:
                        ahead.offer(frame)
                if not frames:
                    continue
                answers = [RunResult(None)] if ahead is None else ahead.step(_IDLE_S)
                stop_and_wait_left = max(stop_and_wait_left - 1, 0)
                if ahead is not None and any(answer.output is None for answer in answers):
                    # A bad line gets through with care only: for one frame, then for more and more of them.
                    stop_and_wait_left, penalty = penalty, min(2 * penalty, _LONGEST_PENALTY)
                for answer in answers:
                    frame = frames.popleft()
                    if answer.output is None:
                        answer = self._again(frame, digests, answer.fault)
                    else:
                        penalty = max(penalty // 2, 1)
                    self._noted(answer)
                    now = time.monotonic()
                    self.runs += 1
                    self.line_s, since = self.line_s + now - since, now
                    yield answer
                    self._line.begin_image(self._image_bytes)

    @property
    def _image_bytes(self) -> int:
        return self.facts.input_bytes + self.facts.output_bytes

    @contextlib.contextmanager
    def _image(self) -> Iterator[None]:
        """What is asked for within it has the bound of one image, or of the last one begun."""
        self._line.begin_image(self._image_bytes)
        try:
            yield
        finally:
            self._line.end_image()

    def _one(self, frame: bytes, digests: bool) -> RunResult:
        """One frame, stop-and-wait."""
        if digests:
            crc = self._stop_and_wait.digest(self.facts, frame)
            return RunResult(b"", crc, self._stop_and_wait.last_cycles, self._stop_and_wait.last_fault)
        output, _ = self._stop_and_wait.infer(self.facts, frame, "plain", 0, "output")
        return RunResult(output, 0, self._stop_and_wait.last_cycles, self._stop_and_wait.last_fault)

    def _again(self, frame: bytes, digests: bool, fault: str) -> RunResult:
        """A frame that the pipeline gave up; fault: the device's own, which is not forgotten."""
        try:
            answer = self._one(frame, digests)
        except BoardError as error:
            if fault:
                raise DeviceFaultError(fault, where=self.facts.board, hint=UNSTABLE_HINT) from error
            raise
        return replace(answer, fault=fault or answer.fault)

    def _noted(self, answer: RunResult) -> RunResult:
        self.last_cycles, self.last_fault = answer.cycles, answer.fault
        return answer

    def run_digest(self, frame: bytes) -> int:
        """One inference; only the CRC-32 of the output comes back."""
        with self._timed():
            return self._noted(self._one(frame, digests=True)).crc

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            with self._image():
                yield
        finally:
            self.runs += 1
            self.line_s += time.monotonic() - started

    def layer_digests(self, frame: bytes) -> list[int]:
        """CRC-32 of each step's output rows, in step order."""
        return _table(self._observed(frame, "digests", 0, "table")[0])

    def layer_cycles(self, frame: bytes) -> list[int]:
        """Cycles of each step. Raises BoardError if the device has no cycle counter."""
        if not self.facts.has_cycles:
            raise BoardError("the board has no cycle counter", where=self.facts.board)
        return _table(self._observed(frame, "cycles", 0, "table")[0])

    def layer_dump(self, frame: bytes, step: int) -> list[bytes]:
        """All rows that step number `step` makes of `frame`, in order."""
        if not 0 <= step < self.facts.steps:
            raise BoardError(f"no step {step}: the network has {self.facts.steps} steps")
        return self._observed(frame, "dump", step, "output")[1]

    def first_wrong_row(self, frame: bytes, step: int, expected: bytes) -> tuple[int, bytes] | None:
        """The first row of a step that differs from those expected, as `StopAndWait.first_wrong_row` has it."""
        with self._image():
            found = self._stop_and_wait.first_wrong_row(self.facts, frame, step, expected)
        self.last_fault = self._stop_and_wait.last_fault
        return found

    def _observed(self, frame: bytes, mode: str, step: int, buffer: str) -> tuple[bytes, list[bytes]]:
        with self._image():
            found = self._stop_and_wait.infer(self.facts, frame, mode, step, buffer)
        self.last_fault = self._stop_and_wait.last_fault
        return found

    def vitals(self) -> wire.Vitals:
        """Stack high-water mark, stack size and damaged frames, as the device counts them."""
        vitals = self._line.ask(wire.Health(), wire.Vitals, self._line.timing.reply_s)
        check_vitals(vitals, self.facts)
        return vitals

    def constant(self, index: int) -> tuple[int, int]:
        """Size in bytes and CRC-32 of constant array number `index`, as it lies in the device's memory."""
        found = self._line.ask(wire.Constant(index), wire.Checksum, self._line.timing.rows_s)
        if found.index != index:
            what = f"the board tells of constant array {found.index}, not {index}"
            raise DeviceFaultError(what, where=self.facts.board)
        return found.size_bytes, found.crc

    def set_baud(self, rate: int) -> None:
        """Talk at `rate` from now on. Raises BoardError, and stays at the old rate, if that does not work.

        Should the line fail later at this rate, both ends find back to the first one.
        """
        old, self._line.fast_baud = self._line.transport.baud, 0
        try:
            done = self._line.ask(wire.Baud(rate), wire.Done, self._line.timing.reply_s, _BAUD_TRIAL_S)
            if done.value != rate:
                raise BoardError(f"the board cannot do {rate} baud", where=self.facts.board, hint="a lower rate")
        except SilenceError:
            pass  # the answer may be what was lost: the new rate tells
        self._line.transport.set_baud(rate)
        try:
            self._line.ask(wire.Hello(wire.PROTOCOL), wire.Facts, self._line.timing.reply_s, _BAUD_TRIAL_S)
        except BoardError as error:
            self._line.transport.set_baud(old)
            self.hello()
            raise BoardError(f"no understanding at {rate} baud", where=self.facts.board, hint="a lower rate") from error
        self._line.fast_baud = rate if rate != self._line.first_baud else 0

    def reset(self) -> None:
        """Restart the device and wait until it answers again."""
        self._line.ask(wire.Reset(), wire.Done, self._line.timing.reply_s)
        self.hello()

    def close(self) -> None:
        """End the conversation, at the rate at which the next one will look for the device first."""
        if self._line.fast_baud:
            with contextlib.suppress(BoardError):
                self._line.ask(wire.Baud(self._line.first_baud), wire.Done, self._line.timing.reply_s, _BAUD_TRIAL_S)
        self._line.transport.close()


def _table(data: bytes) -> list[int]:
    """uint32 entries, one per step."""
    return [value for (value,) in struct.iter_unpack("<I", data)]
