"""One device that is verified: the line to it, what it must hold, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.reported_target import reported_target
from mbn2c.emit.expectations import Expectations
from mbn2c.errors import BoardError
from mbn2c.ir.plan import Call
from mbn2c.link.session import Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.link.transports.transport import Transport
from mbn2c.report.text import OWN_FIRMWARE


@dataclass(frozen=True)
class Device:
    """One line to a device, and the conversation on it.

    name      where it was found
    verified  in words, what of the output folder its firmware is made of
    """

    transport: Transport
    session: Session
    name: str = ""
    verified: str = OWN_FIRMWARE

    @property
    def counts_cycles(self) -> bool:
        """Whether it is a real board with a cycle counter; an emulator's counter tells the computer's time."""
        is_emulated = isinstance(self.transport, EmulatedBoard)
        return bool(self.session.facts.has_cycles) and not is_emulated and not self._is_hosted

    @property
    def counts_time(self) -> bool:
        """Whether it is a program that a processor itself runs: its counter tells nanoseconds."""
        is_emulated = isinstance(self.transport, EmulatedBoard) and not self.transport.board.is_process
        return bool(self.session.facts.has_cycles) and not is_emulated and self._is_hosted

    @property
    def _is_hosted(self) -> bool:
        core, _ = reported_target(self.session.facts)
        return core.hosted

    @property
    def cycles(self) -> int:
        """Of the last inference; 0 if they are not counted."""
        return self.session.last_cycles if self.counts_cycles else 0

    def expectations(self, output: OutputFolder) -> Expectations:
        """What must be in its memory. Raises BoardError if it tells another number of steps."""
        facts = self.session.facts
        expected = output.expectations(*reported_target(facts))
        steps = len(expected.plan.calls)
        if facts.steps != steps:
            what = f"the board tells a network of {facts.steps} steps, not {steps}"
            raise BoardError(what, where=facts.board, hint="build and flash the firmware anew")
        return expected

    def cycles_of_calls(self, output: OutputFolder, frame: bytes) -> list[tuple[Call, int]]:
        """One more inference with the counter read around every step: cycles, or nanoseconds where it tells those.

        raises  BoardError if there is no counter
        """
        cycles = self.session.layer_cycles(frame)
        return [(call, cycles[call.step]) for call in self.expectations(output).plan.calls]


class Instructions:
    """Instructions of each inference, where the device is an emulator that counts them."""

    def __init__(self, transport: Transport, rows: int) -> None:
        self._board = transport if isinstance(transport, EmulatedBoard) and transport.counts else None
        self._brackets = rows + 2  # begin, each row, finish
        self._seen = 0
        self.skip()

    @property
    def are_counted(self) -> bool:
        """Whether the device counts instructions."""
        return self._board is not None

    def note(self) -> list[int]:
        """Called after an inference in plain mode; its instructions, or [] if they are not known."""
        if self._board is None:
            return []
        counts = self._board.instruction_counts()
        new, self._seen = counts[self._seen :], len(counts)
        return [sum(new)] if len(new) == self._brackets else []

    def skip(self) -> None:
        """Called after inferences that are not counted."""
        if self._board is not None:
            self._seen = len(self._board.instruction_counts())
