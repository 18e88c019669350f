"""Two builds compared: figures, layers, plan, C; the gate; text, JSON and page say the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run

from mbn2c.commands import demo
from mbn2c.commands.build import build
from mbn2c.commands.build_options import BuildOptions
from mbn2c.commands.diff import check_growth, diff
from mbn2c.commands.output_folder import write_build
from mbn2c.errors import GateError, UsageError
from mbn2c.report.diff_text import diff_text
from mbn2c.report.difference import ChangedFact
from mbn2c.report.html.difference import diff_page
from mbn2c.report.json import read_record, to_json
from mbn2c.targets import load_core

OPTIONS = BuildOptions(model=demo.MODEL_FILE, core=load_core("host"), calib="random", name="digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diff") / "out"
    write_build(build(OPTIONS), path)
    return path


def changed_report(folder: Path, path: Path) -> Path:
    """Its report with 10 % more RAM, one instruction less, another kernel and scale in layer 2, and no layer 3."""
    record = read_record((folder / "report.json").read_bytes())
    ram = replace(record.ram, arena_bytes=record.ram.arena_bytes * 11 // 10).with_stack(record.ram.stack_bytes)
    time = replace(record.time, instructions=record.time.instructions - 1)
    layers = list(record.layers)
    layers[2] = replace(layers[2], kernel="mbn_other", scale=layers[2].scale * 2)
    del layers[3]
    buffers = (replace(record.buffers[0], offset=record.buffers[0].offset + 16), *record.buffers[1:])
    build_facts = replace(record.build, optimize="ram")
    changed = replace(record, ram=ram, time=time, layers=tuple(layers), buffers=buffers, build=build_facts)
    path.write_text(to_json(changed))
    return path


def test_a_build_does_not_differ_from_itself(folder: Path) -> None:
    found = diff(folder, folder, 0.0)
    assert found.is_same and found.has_files and not found.grown
    assert "nothing differs" in diff_text(found) and "Nothing differs" in diff_page(found)
    check_growth(found)


def test_what_changed_is_named(folder: Path, tmp_path: Path) -> None:
    record = read_record((folder / "report.json").read_bytes())
    found = diff(folder, changed_report(folder, tmp_path / "report.json"), 5.0)
    numbers = {one.name: one for one in found.numbers}
    assert numbers["ram.arena_bytes"].growth == pytest.approx(10, abs=0.1)
    assert numbers["time.instructions"].after == record.time.instructions - 1
    assert found.facts == (ChangedFact("build.optimize", "balanced", "ram"),)
    names = [layer.name for layer in record.layers]
    assert [one.name for one in found.layers] == [f"{names[2]}: kernel", f"{names[2]}: scale", names[3]]
    assert (found.layers[2].before, found.layers[2].after) == ("there", "")
    assert [one.name for one in found.plan] == [f"{record.buffers[0].tensor}: offset"]
    assert not found.has_files and not found.is_same
    assert found.grown == ("ram.total_bytes", "ram.arena_bytes")
    with pytest.raises(GateError, match=r"ram.arena_bytes \+10.0 %"):
        check_growth(found)
    text, page = diff_text(found), diff_page(found)
    assert max(map(len, text.splitlines())) <= 100 and page.count('class="marked"') == 2
    for words in ("mbn_other", "build.optimize", "+10.0 %", "generated C"):
        assert words in text
        assert words in page or words == "generated C"


def test_edited_c_is_named(folder: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(folder, edited)
    with (edited / "digits.c").open("a") as file:
        file.write("/* another */\n")
    found = diff(folder, edited)
    assert [one.name for one in found.files] == ["digits.c"] and not found.facts and not found.layers


def test_the_command_gates_and_prints_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(changed_report(folder, tmp_path / "report.json"))
    code, out, _ = run("diff", str(folder), other, capsys=capsys)
    assert code == 0 and "ram.arena_bytes" in out
    page = tmp_path / "page.html"
    code, out, err = run("diff", str(folder), other, "--max-growth", "5", "--json", "--html", str(page), capsys=capsys)
    assert code == 1 and "grown by more than 5 %" in err and page.is_file()
    assert json.loads(out)["grown"] == ["ram.total_bytes", "ram.arena_bytes"]
    assert run("diff", str(folder), other, "--max-growth", "11", capsys=capsys)[0] == 0


def test_what_is_no_report_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"schema": 0}')
    for other in (tmp_path / "report.json", tmp_path / "none", tmp_path):
        with pytest.raises(UsageError):
            diff(folder, other)
