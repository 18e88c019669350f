"""verify on several devices, broken off and gone on with, and by digests: nothing lost, nothing counted twice."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from devices import assert_exact, build_folder, demo_options, verify_told
from wrong_device import Dying, Kind, Spoil, WrongDevice, flipped, is_data, is_done, miscounted, nth, resized

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import Device, VerifyOptions, check_gates, verify_on_all
from mbn2c.commands.verify.open_devices import Place, open_devices
from mbn2c.errors import BoardError, DeviceFaultError, GateError, UsageError
from mbn2c.link import wire
from mbn2c.link.session import EMULATED, Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.report.text import verify_text
from mbn2c.targets import load_board

IMAGES = 12
SAME = ("images", "outputs_compared", "top1_device", "top1_agreement", "sqnr_db", "drop_upper_95")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), demo_options("host", "host"), compiled=True)


@pytest.fixture
def plug_in(output: OutputFolder) -> Iterator[Callable[[], Device]]:
    opened: list[EmulatedBoard] = []

    def plug() -> Device:
        line = EmulatedBoard(load_board("host"), output.path / output.report["firmware"]["file"])
        opened.append(line)
        return Device(line, Session(line, digest=output.digest, timing=EMULATED))

    yield plug
    for line in opened:
        line.close()


def options(**more: Any) -> VerifyOptions:
    return VerifyOptions(demo.TEST_FOLDER, demo.TEST_LABELS, IMAGES, stress=False, **more)


def broken_off_after(count: int) -> Callable[[Iterable[int], str, int], Iterator[int]]:
    def progress(items: Iterable[int], title: str, total: int) -> Iterator[int]:
        for number, item in enumerate(items):
            if number == count:
                raise KeyboardInterrupt
            yield item

    return progress


@pytest.fixture(scope="module")
def whole(output: OutputFolder) -> dict[str, Any]:
    with EmulatedBoard(load_board("host"), output.path / output.report["firmware"]["file"]) as line:
        device = Device(line, Session(line, digest=output.digest, timing=EMULATED))
        return verify_on_all(output, [device], options())


def test_resume(output: OutputFolder, plug_in: Callable[[], Device], whole: dict[str, Any], tmp_path: Path) -> None:
    journal = tmp_path / "verify.journal"
    for count in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            verify_told(output, [plug_in()], options(journal=journal, resume=True), broken_off_after(count))
    with journal.open("a") as file:
        file.write('01234567 {"image": 9, "resu')  # killed while it wrote
    result = verify_on_all(output, [plug_in()], options(journal=journal, resume=True))
    assert_exact(result, IMAGES)
    assert result["resumed_images"] == 7
    assert {key: result[key] for key in SAME} == {key: whole[key] for key in SAME}
    assert not journal.exists()


def test_without_resume_it_begins_anew(output: OutputFolder, plug_in: Callable[[], Device], tmp_path: Path) -> None:
    journal = tmp_path / "verify.journal"
    with pytest.raises(KeyboardInterrupt):
        verify_told(output, [plug_in()], options(journal=journal), broken_off_after(5))
    result = verify_on_all(output, [plug_in()], options(journal=journal))
    assert_exact(result, IMAGES)
    assert result["resumed_images"] == 0


def test_another_verification_is_not_resumed(
    output: OutputFolder, plug_in: Callable[[], Device], tmp_path: Path
) -> None:
    journal = tmp_path / "verify.journal"
    with pytest.raises(KeyboardInterrupt):
        verify_told(output, [plug_in()], options(journal=journal), broken_off_after(2))
    other = VerifyOptions(demo.TEST_FOLDER, None, IMAGES, journal=journal, resume=True)
    with pytest.raises(UsageError, match="another verification"):
        verify_on_all(output, [plug_in()], other)


@pytest.fixture
def broken_off(
    output: OutputFolder, plug_in: Callable[[], Device], tmp_path: Path
) -> Callable[[VerifyOptions, Spoil], dict[str, Any]]:
    """Goes on with a verify of copied images and labels that was broken off after three of them."""
    for folder in (tmp_path / "images", tmp_path / "same"):
        folder.mkdir()
        for image in sorted(demo.TEST_FOLDER.iterdir())[:6]:
            shutil.copy(image, folder)
    shutil.copy(demo.TEST_LABELS, tmp_path / "labels.csv")
    images, labels = tmp_path / "images", tmp_path / "labels.csv"
    first = VerifyOptions(images, labels, journal=tmp_path / "journal", resume=True, stress=False)
    with pytest.raises(KeyboardInterrupt):
        verify_told(output, [plug_in()], first, broken_off_after(3))

    def go_on(then: VerifyOptions, spoil: Spoil) -> dict[str, Any]:
        line = WrongDevice(plug_in().transport, spoil)
        device = Device(line, Session(line, digest=output.digest, timing=EMULATED))
        return verify_on_all(output, [device], replace(first, **then))

    return go_on


def other_firmware(message: wire.Message) -> wire.Message:
    return replace(message, build=message.build ^ 1) if isinstance(message, wire.Facts) else message


def as_it_was(message: wire.Message) -> wire.Message:
    return message


# (case, what the second call gives otherwise, what is written over what before it, its device; word of the refusal)
OTHERS: list[tuple[str, dict[str, Any], tuple[str, str] | None, Spoil, str]] = [
    ("firmware", {}, None, other_firmware, "other firmware"),
    ("an image done", {}, ("images/0", "images/5"), as_it_was, "has changed since"),
    ("labels", {}, ("labels.csv", ""), as_it_was, "other labels"),
    ("no labels", {"labels": None}, None, as_it_was, "other labels"),
    ("fewer images", {"limit": 4}, None, as_it_was, "other images"),
    ("layers", {"layers": True}, None, as_it_was, "other options"),
    ("digest", {"digest": True}, None, as_it_was, "other options"),
    ("the same elsewhere", {"images": "same"}, None, as_it_was, ""),
    ("an image to come", {}, ("images/5", "images/0"), as_it_was, ""),
]


@pytest.mark.parametrize(("then", "written", "spoil", "said"), [c[1:] for c in OTHERS], ids=[c[0] for c in OTHERS])
def test_only_the_same_verification_is_gone_on_with(
    then: dict[str, Any], written: tuple[str, str] | None, spoil: Spoil, said: str,
    broken_off: Callable[[dict[str, Any], Spoil], dict[str, Any]], tmp_path: Path,
) -> None:  # fmt: skip
    images = sorted((tmp_path / "images").iterdir())
    if written and written[1]:
        target, source = (images[int(one.split("/")[1])] for one in written)
        shutil.copy(source, target)
    elif written:
        head, first, *rest = (tmp_path / "labels.csv").read_text().splitlines()
        name, label, word = first.split(",")
        (tmp_path / "labels.csv").write_text("\n".join([head, f"{name},{(int(label) + 1) % 10},{word}", *rest]))
    if "images" in then:
        then = {"images": tmp_path / then["images"]}
    if said:
        with pytest.raises(UsageError, match=said):
            broken_off(then, spoil)
    else:
        result = broken_off(then, spoil)
        assert_exact(result, 6)
        assert result["resumed_images"] == 3


@pytest.mark.parametrize(
    ("drop", "upper", "row"),
    [
        (0.033333, 0.105901, "accuracy drop 3.33 %, below 10.59 % with 95 % confidence"),
        (-0.033333, 0.039235, "accuracy gain 3.33 %; a drop is below 3.92 % with 95 % confidence"),
        (-0.5, -0.369289, "accuracy gain 50.00 %, above 36.93 % with 95 % confidence"),
        (-0.000001, 0.05, "accuracy drop 0.00 %, below 5.00 % with 95 % confidence"),
    ],
)
def test_a_gain_is_called_a_gain(drop: float, upper: float, row: str, whole: dict[str, Any]) -> None:
    assert row in " ".join(verify_text({**whole, "drop": drop, "drop_upper_95": upper}).split())


class Together:
    """A line that carries nothing of the images until all others have one to carry: else one may take them all."""

    def __init__(self, line: Any, meeting: threading.Barrier) -> None:
        self.line, self.meeting, self.baud, self.waits = line, meeting, 0, False
        self.read, self.set_baud, self.close = line.read, line.set_baud, line.close

    def write(self, data: bytes) -> None:
        if self.waits:
            self.waits = False
            self.meeting.wait(60)
        self.line.write(data)


def test_several_devices_share_the_images(
    output: OutputFolder, plug_in: Callable[[], Device], whole: dict[str, Any]
) -> None:
    meeting = threading.Barrier(3)
    lines = [Together(plug_in().transport, meeting) for _ in range(3)]
    devices = [Device(line, Session(line, digest=output.digest, timing=EMULATED)) for line in lines]

    def progress(items: Iterable[int], title: str, total: int) -> Iterator[int]:
        for line in lines:
            line.waits = True
        yield from items

    result = verify_told(output, devices, options(), progress)
    assert_exact(result, IMAGES)
    assert result["devices"] == 3 and {key: result[key] for key in SAME} == {key: whole[key] for key in SAME}
    assert sum(device.session.runs for device in devices) == IMAGES
    assert all(device.session.runs for device in devices)


class Patient:
    """A line that carries nothing, once `waits` is set, until another one is gone: else it may take all images."""

    def __init__(self, line: Any, other: Dying) -> None:
        self.line, self.other, self.baud, self.waits = line, other, 0, False
        self.read, self.set_baud, self.close = line.read, line.set_baud, line.close

    def write(self, data: bytes) -> None:
        if self.waits:
            assert self.other.is_gone.wait(60)
        self.line.write(data)

    def progress(self, items: Iterable[int], title: str, total: int) -> Iterator[int]:
        self.waits = True
        yield from items


@pytest.mark.parametrize("writes", [1, 5, 12])
def test_a_device_that_dies_loses_no_image(
    writes: int, output: OutputFolder, plug_in: Callable[[], Device], whole: dict[str, Any]
) -> None:
    line = Dying(plug_in().transport, writes)
    weak = Device(line, Session(line, digest=output.digest, timing=Timing()), "weak")
    patient = Patient(plug_in().transport, line)
    good = Device(patient, Session(patient, digest=output.digest, timing=EMULATED))
    result = verify_told(output, [weak, good], options(), patient.progress)
    assert_exact(result, IMAGES)
    assert result["devices_lost"] == ["weak: port is gone"]
    assert {key: result[key] for key in SAME} == {key: whole[key] for key in SAME}


def test_when_all_devices_die_it_can_be_resumed(
    output: OutputFolder, plug_in: Callable[[], Device], tmp_path: Path
) -> None:
    journal = tmp_path / "verify.journal"
    lines = [Dying(plug_in().transport, 12) for _ in range(2)]
    devices = [Device(line, Session(line, digest=output.digest, timing=Timing())) for line in lines]
    with pytest.raises(BoardError, match="is gone"):
        verify_on_all(output, devices, options(journal=journal))
    finished = len(journal.read_text().splitlines()) - 1
    assert finished > 0
    result = verify_on_all(output, [plug_in()], options(journal=journal, resume=True))
    assert_exact(result, IMAGES)
    assert result["resumed_images"] == finished


def test_digests(output: OutputFolder, plug_in: Callable[[], Device], whole: dict[str, Any]) -> None:
    device = plug_in()
    result = verify_on_all(output, [device], options(digest=True))
    assert_exact(result, IMAGES)
    assert {key: result[key] for key in SAME} == {key: whole[key] for key in SAME}
    assert result["line_bytes"] < whole["line_bytes"]


# (case, options, which answer is wrong, how, whether always from then on; bytes that differ, images unstable)
# One image's digest, or its ten bytes of output, is one Data; with layers there are three: output, digests, rows.
WRONG: list[tuple[str, dict[str, Any], Kind, int, Spoil, bool, int, int]] = [
    ("digest, once", {"digest": True}, is_data, 4, flipped, False, 1, 1),
    ("digest, always", {"digest": True}, is_data, 0, flipped, True, IMAGES, 0),
    ("output, once", {}, is_data, 4, flipped, False, 1, 1),
    ("output, always", {}, is_data, 0, flipped, True, IMAGES, 0),
    ("input, ahead", {}, is_done, 3, miscounted, False, 1, 1),
    ("input, ahead by digests", {"digest": True}, is_done, 3, miscounted, False, 1, 1),
    ("input, one at a time", {"layers": True}, is_done, 6, miscounted, False, 1, 1),
    ("output against its CRC", {}, is_data, 4, miscounted, False, 1, 1),
    ("digest, one at a time", {"digest": True, "layers": True}, is_data, 4, flipped, False, 1, 1),
    ("output of a layer run, once", {"layers": True}, is_data, 4, flipped, False, 1, 1),
    ("digests of layers, once", {"layers": True}, is_data, 5, flipped, False, 1, 1),
    ("digests against their CRC", {"layers": True}, is_data, 5, miscounted, False, 1, 1),
]


@pytest.mark.parametrize(
    ("more", "kind", "number", "spoil", "every", "differ", "unstable"),
    [c[1:] for c in WRONG],
    ids=[c[0] for c in WRONG],
)
def test_a_wrong_answer_stays_wrong(
    more: dict[str, Any], kind: Kind, number: int, spoil: Spoil, every: bool, differ: int, unstable: int,
    output: OutputFolder, plug_in: Callable[[], Device],
) -> None:  # fmt: skip
    """A second answer never replaces the first: it only tells whether the device is unstable."""
    line = WrongDevice(plug_in().transport, nth(kind, number, spoil, every=every))
    device = Device(line, Session(line, digest=output.digest, timing=EMULATED))
    result = verify_on_all(output, [device], options(**more))
    assert (result["images"], result["device_vs_reference_mismatches"], result["unstable_images"]) == (
        IMAGES, differ, unstable,
    )  # fmt: skip
    assert result["first_mismatch"]
    with pytest.raises(GateError, match="unstable" if unstable else "differ"):
        check_gates(result, None)
    assert ("unstable" in verify_text(result)) == bool(unstable)


def test_a_crash_after_the_last_image_is_no_missing_counter(
    output: OutputFolder, plug_in: Callable[[], Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --layers one more inference counts cycles, if the board can; this one counts time."""
    monkeypatch.setattr(Device, "_is_hosted", False)
    crash = nth(is_done, 2 * IMAGES, lambda message: wire.Refused(wire.REASONS.index("fault"), 3))
    line = WrongDevice(plug_in().transport, crash)
    device = Device(line, Session(line, digest=output.digest, timing=EMULATED))
    with pytest.raises(DeviceFaultError, match="processor fault"):
        verify_on_all(output, [device], options(layers=True))


@pytest.mark.parametrize("more", [{}, {"digest": True}, {"layers": True}], ids=["output", "digest", "layers"])
def test_a_wrong_answer_outlives_its_device(
    more: dict[str, Any], output: OutputFolder, plug_in: Callable[[], Device]
) -> None:
    """The line is gone before the image can run again; the other device would do it right."""
    result = verify_on_all(output, [wrong_once_then_gone(output, plug_in), plug_in()], options(**more))
    assert (result["images"], result["devices_lost"]) == (IMAGES, ["weak: port is gone"])
    assert (result["device_vs_reference_mismatches"], result["unstable_images"]) == (1, 0)


def test_a_wrong_answer_is_told_though_no_device_is_left(output: OutputFolder, plug_in: Callable[[], Device]) -> None:
    with pytest.raises(GateError, match=r"differ: 1, then: port is gone") as refused:
        verify_on_all(output, [wrong_once_then_gone(output, plug_in)], options())
    assert "output: device against reference" in refused.value.where


def wrong_once_then_gone(output: OutputFolder, plug_in: Callable[[], Device]) -> Device:
    """Its first output has a flipped byte, and nothing can be sent to it afterwards."""
    line = WrongDevice(plug_in().transport, nth(is_data, 0, lambda message: die(flipped(message))))

    def die(message: wire.Message) -> wire.Message:
        line.write = gone
        return message

    def gone(data: bytes) -> None:
        raise BoardError("port is gone")

    return Device(line, Session(line, digest=output.digest, timing=EMULATED), "weak")


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    [
        (is_done, lambda message: wire.Refused(wire.REASONS.index("fault"), 3), "processor fault"),
        (is_done, lambda message: wire.Refused(wire.REASONS.index("network"), 7), "failed with code 7"),
        (is_data, miscounted, "sends a buffer 'output' of CRC-32"),
        (is_done, miscounted, "was sent an input of CRC-32"),
        (is_data, resized, "tells an output of 11 B, not 10 B"),
    ],
    ids=["crash", "network", "output against its CRC", "input", "size"],
)
def test_another_device_does_not_make_good_a_devices_own_fault(
    kind: Kind, spoil: Spoil, said: str, output: OutputFolder, plug_in: Callable[[], Device]
) -> None:
    line = WrongDevice(plug_in().transport, nth(kind, 1, spoil, every=True))
    weak = Device(line, Session(line, digest=output.digest, timing=EMULATED), "weak")
    with pytest.raises(DeviceFaultError, match=f"weak: .*{said}"):
        verify_on_all(output, [weak, plug_in()], options())


def test_journal_lines_are_plain(output: OutputFolder, plug_in: Callable[[], Device], tmp_path: Path) -> None:
    journal = tmp_path / "verify.journal"
    with pytest.raises(KeyboardInterrupt):
        verify_told(output, [plug_in()], options(journal=journal), broken_off_after(2))
    head, *lines = [json.loads(line.split(" ", 1)[1]) for line in journal.read_text().splitlines()]
    assert head["verify"]["images"][0] == IMAGES
    assert [line["image"] for line in lines] == [0, 1]


class Lying(EmulatedBoard):
    """Its Facts tell other numbers and names than the firmware's."""

    changes: ClassVar[dict[str, Any]] = {}
    partial = b""

    def read(self, timeout_s: float) -> bytes:
        *frames, self.partial = (self.partial + super().read(timeout_s)).split(wire.DELIMITER)
        for place, frame in enumerate(frames):
            message, sequence = wire.decode(frame)
            if isinstance(message, wire.Facts):
                frames[place] = wire.encode(replace(message, **self.changes), sequence)[:-1]
        return b"".join(frame + wire.DELIMITER for frame in frames)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"input_bytes": 6 * 2**20, "row_bytes": 2**10}, "tells an input of 6,291,456 B, the network's has"),
        ({"output_bytes": 11}, "tells an output of 11 B, the network's has 10 B"),
        ({"steps": 7}, "tells a network of 7 steps, not"),
        ({"board": "nothing"}, "tells: no board is called 'nothing'"),
        ({"core": "nothing"}, "tells: no target is called 'nothing'"),
        ({"board": "pico"}, "tells a core host, which 'pico' has not"),
    ],
)
def test_a_device_of_another_network_is_an_error_of_the_board(
    changes: dict[str, Any], message: str, output: OutputFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mbn2c.commands.verify.open_devices.EmulatedBoard", Lying)
    monkeypatch.setattr(Lying, "changes", changes)
    with ExitStack() as opened, pytest.raises(BoardError, match=message):
        devices, _ = open_devices(output, [Place(emulated="host")], tmp_path, opened)
        verify_on_all(output, devices, options(layers=True))
