"""Writing an output folder: what may be overwritten, and what is left of a build that is broken off."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from folders import content

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder, check_folder, staged
from mbn2c.commands.output_folder.manifest import MANIFEST, Manifest, read_manifest
from mbn2c.commands.output_folder.staging import STAGE
from mbn2c.errors import UsageError
from mbn2c.files.bundle import write_bundle

Files = Mapping[str, bytes]
OLD = {"net.c": b"old", "net.h": b"same", "gone.c": b"gone", "arduino/net/src/gone.c": b"gone", "build/net.elf": b"elf"}
NEW = {"net.c": b"new", "net.h": b"same", "main.c": b"main", "firmware/link.ld": b"ld", "build/net.elf": b"other"}


def put(folder: Path, files: Files, *, force: bool = False) -> None:
    with staged(folder, force=force) as stage:
        write_bundle(files, stage)


# --- what is refused, kept, overwritten ---

# name: (what lies there before: OLD, or no build, and what the user does), message without --force; None: written
PLACES: dict[str, tuple[bool, Callable[[Path], object], str | None]] = {
    "nothing": (False, lambda out: None, None),
    "an empty folder": (False, lambda out: out.mkdir(), None),
    "an older build": (True, lambda out: None, None),
    "a user's other file": (True, lambda out: (out / "notes.txt").write_text("mine"), None),
    "a deleted file": (True, lambda out: (out / "net.c").unlink(), None),
    "an edit that the build makes too": (True, lambda out: (out / "net.c").write_bytes(NEW["net.c"]), None),
    "a user's own Makefile": (False, lambda out: write_bundle({"Makefile": b"mine"}, out), "mbn2c did not write it"),
    "a user's own main.c": (True, lambda out: (out / "main.c").write_text("mine"), r"main.c \(not written by mbn2c\)"),
    "a user's edit": (True, lambda out: (out / "net.c").write_text("mine"), r"net.c \(edited since its build\)"),
    "a damaged manifest": (True, lambda out: (out / MANIFEST).write_text("{}"), f"cannot read {MANIFEST}"),
    "another's manifest": (False, lambda out: write_bundle({MANIFEST: b"[]"}, out), f"cannot read {MANIFEST}"),
    "a file in a folder's place": (
        True,
        lambda out: (out / "firmware").write_text("mine"),
        r"firmware is not written by mbn2c",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_a_build_overwrites(name: str, tmp_path: Path) -> None:
    has_build, prepare, message = PLACES[name]
    out = tmp_path / "out"
    if has_build:
        put(out, OLD)
    prepare(out)
    before = content(out)
    if message is not None:
        with pytest.raises(UsageError, match=message) as refused:
            put(out, NEW)
        assert "--force" in refused.value.hint
        assert content(out) == before
    put(out, NEW, force=message is not None)
    kept = {path: data for path, data in before.items() if path not in (*OLD, *NEW, "firmware")}
    if name == "a damaged manifest":  # what was ours is not known any more
        kept |= {path: data for path, data in before.items() if path not in NEW}
    assert content(out) == {**kept, **NEW}
    manifest = read_manifest(out)
    assert manifest is not None and set(manifest.files) == set(NEW) and manifest.pending is None
    put(out, OLD)
    assert content(out) == {**kept, **OLD}


def test_an_edited_file_that_the_next_build_does_not_write_is_the_users(tmp_path: Path) -> None:
    put(tmp_path / "out", OLD)
    (tmp_path / "out/arduino/net/src/gone.c").write_bytes(b"edited")
    put(tmp_path / "out", NEW)
    assert content(tmp_path / "out") == {**NEW, "arduino/net/src/gone.c": b"edited"}


# what is a link, and to what; the target must stay as it is
LINKS = {"net.c": False, "main.c": False, MANIFEST: False, "firmware": True, "build": True}


@pytest.mark.parametrize("path", LINKS)
def test_links_are_not_followed(path: str, tmp_path: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "elsewhere"
    put(out, OLD)
    if LINKS[path]:
        shutil.rmtree(out / path, ignore_errors=True)
        write_bundle({"link.ld": b"mine", "net.elf": b"mine"}, target)
    else:
        (out / path).exists() and (out / path).rename(target)
        target.touch()
    (out / path).symlink_to(target)
    before = content(target) if LINKS[path] else target.read_bytes()
    with pytest.raises(UsageError, match=r"mbn2c would overwrite"):
        put(out, NEW)
    assert (out / path).is_symlink()
    put(out, NEW, force=True)
    assert (content(target) if LINKS[path] else target.read_bytes()) == before
    assert not (out / path).is_symlink() and NEW.items() <= content(out).items()


def test_a_link_to_the_folder_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    put(tmp_path / "out", NEW)
    assert (tmp_path / "out").is_symlink() and content(tmp_path / "real") == NEW
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="symbolic link to nothing"):
        put(tmp_path / "dangling", NEW)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_or_pipe_in_a_files_place_is_never_removed(force: bool, tmp_path: Path) -> None:
    put(tmp_path / "one", OLD)
    write_bundle({"main.c/mine": b"mine"}, tmp_path / "one")
    put(tmp_path / "two", OLD)
    os.mkfifo(tmp_path / "two" / "main.c")
    for out, what in {"one": "a folder", "two": "not a file"}.items():
        with pytest.raises(UsageError, match="is no file") as refused:
            put(tmp_path / out, NEW, force=force)
        assert refused.value.where == f"main.c ({what})"
    assert content(tmp_path / "one") == {**OLD, "main.c/mine": b"mine"} and content(tmp_path / "two") == OLD


def test_what_is_unchanged_keeps_its_time_stamp(tmp_path: Path) -> None:
    def stamps() -> dict[str, int]:
        return {str(path.relative_to(tmp_path)): path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    put(tmp_path, OLD)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    old = {path: stamp for path, stamp in stamps().items() if (tmp_path / path).is_file()}
    put(tmp_path, OLD)
    assert {path: stamps()[path] for path in old} == old
    put(tmp_path, {**OLD, "net.c": b"new"})
    changed = {path for path, stamp in old.items() if stamps()[path] != stamp}
    assert changed == {"net.c", "build/net.elf", MANIFEST}, "make must find what is compiled newer than its source"


def test_one_build_at_a_time(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as stage:
        with pytest.raises(UsageError, match="another mbn2c writes into this folder"):
            put(tmp_path / "out", NEW)
        write_bundle(OLD, stage)
    assert content(tmp_path / "out") == OLD


def test_a_bundle_in_a_folder_of_mbn2c_follows_no_link_either(tmp_path: Path) -> None:
    """Firmware in a temporary folder, and what flash writes beside an ELF."""
    (tmp_path / "elsewhere").write_bytes(b"mine")
    for name, target in {"net.bin": "elsewhere", "dangling.bin": "nowhere"}.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    write_bundle({"net.bin": b"mine", "dangling.bin": b"new"}, tmp_path)
    assert not (tmp_path / "net.bin").is_symlink() and not (tmp_path / "nowhere").exists()
    assert (tmp_path / "elsewhere").read_bytes() == b"mine" and (tmp_path / "dangling.bin").read_bytes() == b"new"


# --- builds that are broken off ---


def test_an_exception_leaves_everything_as_it_was(tmp_path: Path) -> None:
    put(tmp_path / "old", OLD)
    for out in ("old", "new/deep"):
        with pytest.raises(KeyboardInterrupt), staged(tmp_path / out) as stage:
            write_bundle(NEW, stage)
            raise KeyboardInterrupt
    assert content(tmp_path / "old") == OLD and [path.name for path in tmp_path.iterdir()] == ["old"]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 4 KiB: the write fails as on a full disk, without a file name in the error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(tmp_path: Path) -> None:
    put(tmp_path, OLD)
    with full_disk(), pytest.raises(UsageError, match=r"cannot write .*net\.c: File too large"):
        put(tmp_path, {**NEW, "net.c": bytes(10_000)})
    assert content(tmp_path) == OLD and not (tmp_path / STAGE).exists()


def test_a_full_disk_of_its_own(tmp_path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(tmp_path)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        put(tmp_path / "out", OLD)
        with pytest.raises(UsageError, match=r"cannot write .*net\.c: No space left on device"):
            put(tmp_path / "out", {**NEW, "net.c": bytes(200_000)})
        assert content(tmp_path / "out") == OLD
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out, message in {"file": "is not a folder", "file/out": "cannot write .*: Not a directory"}.items():
        with pytest.raises(UsageError, match=message):
            put(tmp_path / out, NEW)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_without_rights_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, rights: path != tmp_path)  # root has all rights
    for out in (tmp_path, tmp_path / "new", tmp_path / "new" / "deep"):
        with pytest.raises(UsageError, match=f"cannot write {tmp_path}: Permission denied"):
            check_folder(out)


def killed_at(moment: int, out: Path, files: Files) -> bool:
    """Build in a process that is killed before its `moment`-th change of OUT; False if it has ended before."""
    process = os.fork()
    if not process:
        left = [moment]

        def deadly(real: Callable[..., object]) -> Callable[..., object]:
            def change(*arguments: object, **more: object) -> object:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return change

        os.replace, os.unlink, os.rmdir = deadly(os.replace), deadly(os.unlink), deadly(os.rmdir)
        Path.unlink, Path.rmdir = deadly(Path.unlink), deadly(Path.rmdir)  # type: ignore[method-assign]
        Path.mkdir, Path.write_bytes = deadly(Path.mkdir), deadly(Path.write_bytes)  # type: ignore[method-assign]
        try:
            put(out, files)
        finally:
            os._exit(0)
    return os.waitpid(process, 0)[1] == signal.SIGKILL


def test_a_kill_at_any_moment_is_harmless_or_noticed(tmp_path: Path) -> None:
    noticed = harmless = 0
    for moment in range(1, 1000):
        out = tmp_path / str(moment)
        put(out, OLD)
        write_bundle({"notes.txt": b"mine"}, out)
        if not killed_at(moment, out, NEW):
            break
        left = {path: data for path, data in content(out).items() if not path.startswith(STAGE)}
        try:
            assert OutputFolder(out).manifest.files.keys() in (OLD.keys(), NEW.keys())
            assert left in ({**OLD, "notes.txt": b"mine"}, {**NEW, "notes.txt": b"mine"})
            harmless += 1
        except UsageError as error:
            assert "a build was broken off" in str(error)
            noticed += 1
            assert killed_at(min(moment, 14), out, OLD)  # again, on the way back
        put(out, NEW)
        assert content(out) == {**NEW, "notes.txt": b"mine"} and OutputFolder(out).manifest
    assert noticed > len(NEW) and harmless > len(NEW), (noticed, harmless)


# --- damaged manifests ---


def test_every_flipped_byte_of_a_manifest_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, OLD)
    good = (tmp_path / MANIFEST).read_bytes()
    for position in range(0, len(good), 7):
        for flip in (0x01, 0x80):
            damaged = bytearray(good)
            damaged[position] ^= flip
            (tmp_path / MANIFEST).write_bytes(damaged)
            try:
                assert read_manifest(tmp_path) == Manifest({path: read_digest(good, path) for path in OLD})
            except UsageError as error:
                assert f"cannot read {MANIFEST}" in str(error)


def read_digest(manifest: bytes, path: str) -> str:
    return str(json.loads(manifest)["files"][path])


@pytest.mark.parametrize("text", ["", "null", "[]", "3", "[" * 100_000, '{"sha256": 1}', "\xff", "{" + "9" * 5000])
def test_what_is_no_manifest(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=f"cannot read {MANIFEST}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("path", ["../mine", "/etc/mine", "a/../../mine", "", "..\\mine"])
def test_a_manifest_cannot_lead_out_of_its_folder(path: str, tmp_path: Path) -> None:
    """It names files that the next build may remove."""
    put(tmp_path / "out", OLD)
    (tmp_path / "mine").write_bytes(b"mine")
    forged = Manifest({path: "0" * 64}).to_bytes()
    (tmp_path / "out" / MANIFEST).write_bytes(forged)
    with pytest.raises(UsageError, match="is no path in the folder"):
        put(tmp_path / "out", NEW)


def test_the_folder_explains_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line without absolute paths and OUT, the next commands, and nothing that is not there."""
    model = str(demo.MODEL_FILE)
    words = ["build", model, "--target", "cortex-m4", "--calib", "random", "--emit", "cmsis-pack,make"]
    assert main([*words, "--package-version", "1.2.0", "--name", "digits", "-o", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    out = tmp_path / "out"
    text = (out / "README.md").read_text()
    command = f"mbn2c build {demo.MODEL_FILE.name} --target cortex-m4 --calib random --emit cmsis-pack,make"
    assert f"\n{command} --package-version 1.2.0 --name digits\n" in text
    assert str(tmp_path) not in text and "/" + demo.MODEL_FILE.name not in text
    assert "mbn2c verify ." in text and "cmsis-pack/" in text
    assert "CMakeLists.txt" not in text and "firmware/" not in text
    assert (out / "cmsis-pack" / "mbn2c.digits.1.2.0.pack").is_file()
    for name in re.findall(r"`([\w./]+)`", text.split("## Sources")[1]):
        assert (out / name).exists() or name.startswith("lib"), name
    assert main([*words, "--package-version", "1.2", "-o", str(tmp_path / "other")]) == 2
