"""Every --emit output: complete, as its ecosystem wants it, compiled from its own folder, and right when it runs."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as Xml
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ecosystems import CMAKE, STUBS
from int16_cases import small_network, some_int16
from models import tiny_mobilenet_v2
from networks import plan_with_cuts, quantized
from places import ROOT

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.emit.network.model import Names, model_files
from mbn2c.emit.packages.packagings import EMITS, PACKAGINGS, check_emits, package_folder
from mbn2c.emit.packages.single_header import single_header
from mbn2c.errors import UsageError
from mbn2c.files.bundle import Bundle, write_bundle
from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for, kernels_of_plan
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core

NAME = "person"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
CORES = {
    "arduino": "cortex-m4",
    "platformio": "cortex-m3",
    "zephyr": "cortex-m33",
    "esp-idf": "rv32imc",
    "cmsis-pack": "cortex-m55",
    "pico-sdk": "cortex-m0plus",
    "single-header": "cortex-m7",
    "python": "x86-64",
}


@cache
def choice(core: str) -> Choice:
    return choose_plan(quantized(tiny_mobilenet_v2()), load_core(core), "balanced")


@cache
def package(emit: str, core: str) -> Bundle:
    """The files of a packaging of a tiny network, below the folder that carries its name."""
    plan, kernels = choice(core).plan, choice(core).kernels
    code = model_files(plan, kernels, Names(NAME, 'tiny "net".onnx', bytes(32)))
    return package_folder(emit, name=NAME, title='tiny "net".onnx', core=load_core(core), code=code, shown="class")


def written(emit: str, core: str, folder: Path) -> Path:
    write_bundle(package(emit, core), folder)
    return folder / emit / NAME


def compiled(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def expected() -> str:
    """What the example prints: the network's answer to a black picture."""
    graph = choice("host").plan.graph
    source = graph.tensors[graph.inputs[0].tensor]
    scores = run_graph(graph, {source.name: np.zeros(source.shape, np.int8)})[graph.outputs[0].tensor].reshape(-1)
    return f"{NAME}: error 0, best class {scores.argmax()}, score {scores.max()}\n"


# The others have no programs for this computer; test_compiles builds them for a board's core.
@pytest.mark.parametrize("emit", [emit for emit in PACKAGINGS if emit not in ("arduino", "cmsis-pack", "python")])
def test_the_example_runs(emit: str, tmp_path: Path) -> None:
    """Built for this computer from the package's own folder, with its own build files where it has some."""
    folder = written(emit, "host", tmp_path)
    program = folder / "classify"
    if emit in CMAKE:
        program = cmake_built(emit, folder, tmp_path)
    elif emit == "single-header":
        compiled(["gcc", *STRICT, "-I.", "-o", "classify", "examples/classify/main.c"], folder)
    else:
        sources = [str(path) for path in sorted(folder.glob("src/*.c"))]
        compiled(["gcc", *STRICT, "-Isrc", "-o", "classify", "examples/classify/main.c", *sources], folder)
    assert subprocess.run([program], capture_output=True, text=True).stdout == expected()


@pytest.mark.parametrize("threads", [1, 9])
def test_python_runs_the_network(tmp_path: Path, threads: int) -> None:
    """The folder is imported as it is, and makes its library; what cannot be is an exception."""
    folder = written("python", "host", tmp_path)
    program = (
        f"import {NAME}\n"
        f"net = {NAME}.Net({threads})\n"
        f"print(net.run(bytes({NAME}.INPUT_SHAPE[0] * {NAME}.INPUT_SHAPE[1] * {NAME}.INPUT_SHAPE[2])))\n"
        "try:\n    net.run(bytes(5))\nexcept ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder.parent, capture_output=True, text=True)
    if threads > 1:
        assert "no such number of threads" in done.stderr
        return
    graph = choice("host").plan.graph
    source, port = graph.tensors[graph.inputs[0].tensor], graph.outputs[0].tensor
    codes = run_graph(graph, {source.name: np.zeros(source.shape, np.int8)})[port].reshape(-1)
    quant = quant_of(graph, port)
    values, words = done.stdout.splitlines()
    assert np.allclose(json.loads(values), float(scale_of(quant)) * (codes.astype(int) - quant.zero_point))
    assert words == f"5 bytes are no image of {source.shape[1:]}"


def cmake_built(emit: str, folder: Path, top: Path) -> Path:
    """The example, built by the package's CMake files inside a stand-in for the ecosystem's own."""
    for path, text in STUBS.items():
        (top / emit / path).parent.mkdir(parents=True, exist_ok=True)
        (top / emit / path).write_text(text)
    (top / emit / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(test C CXX ASM)\n{CMAKE[emit]}"
    )
    environment = f"PICO_SDK_PATH={top / emit / 'stub'}"
    compiled(["env", environment, "cmake", "-S", str(top / emit), "-B", "build"], folder)
    compiled(["cmake", "--build", "build"], folder)
    return next(path for path in (folder / "build").rglob("classify") if path.is_file())


@pytest.mark.parametrize("emit", PACKAGINGS)
def test_compiles(emit: str, tmp_path: Path) -> None:
    """For a core of its ecosystem, without a warning, with nothing but its own folder."""
    core = load_core(CORES[emit])
    folder = written(emit, core.name, tmp_path)
    compiler = [f"{core.prefix}gcc", *core.cflags, *STRICT, "-Isrc", "-I.", "-c"]
    sources = [str(path) for path in sorted(folder.glob("src/*.c"))]
    compiled([*compiler, *(sources or ["examples/classify/main.c"])], folder)
    if emit == "arduino":
        (folder / "Arduino.h").write_text(STUBS["stub/Arduino.h"])
        words = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-include", "Arduino.h", "-x", "c++", "-Isrc"]
        compiled([f"{core.prefix}g++", *core.cflags, *words, "examples/classify/classify.ino"], folder)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m55", "rv32imc"])
def test_single_header_of_every_kernel_family(core: str, tmp_path: Path) -> None:
    """Declarations in one C file, the implementation in another, and both link."""
    folder, facts = written("single-header", core, tmp_path), load_core(core)
    (folder / "other.c").write_text(
        f'#include "{NAME}.h"\nint steps(void);\nint steps(void)\n{{\n    return PERSON_STEPS;\n}}\n'
    )
    compiler = [f"{facts.prefix}gcc", *facts.cflags, *STRICT, "-I."]
    compiled([*compiler, "-c", "other.c", "examples/classify/main.c"], folder)
    words = ["-melf32lriscv"] if core == "rv32imc" else []
    compiled([f"{facts.prefix}ld", *words, "-r", "-o", "both.o", "other.o", "main.o"], folder)


def one_header(graph: Graph, core: str, folder: Path) -> list[str]:
    """The single header of a streamed Plan compiles; returns the files that it is made of."""
    facts = load_core(core)
    isas = isas_for(facts.isas, "balanced")
    plan = plan_with_cuts(graph, [], (3,), isas)
    files = model_files(plan, kernels_of_plan(plan, isas), Names(NAME, "a test", bytes(range(32))))
    code = {Path(path).name: data for path, data in files.items() if path.endswith((".c", ".h"))}
    write_bundle(single_header(NAME, code), folder)
    (folder / "one.c").write_text(f'#define {NAME.upper()}_IMPLEMENTATION\n#include "{NAME}.h"\n')
    compiled([f"{facts.prefix}gcc", *facts.cflags, *STRICT, "-I.", "-c", "one.c"], folder)
    return list(code)


@pytest.mark.parametrize(("core", "seed"), [("cortex-m7", 22), ("cortex-m55", 26)])
def test_single_header_of_int16_kernels(core: str, seed: int, tmp_path: Path) -> None:
    """What they define inside of themselves has the same names in several files."""
    graph = small_network()
    found = one_header(quantized(graph, int16=some_int16(graph, seed)), core, tmp_path)
    assert len([path for path in found if "_s16_" in path]) >= 3


@pytest.mark.parametrize("core", ["aarch64", "aarch64-dotprod", "x86-64-vnni"])
def test_single_header_of_simd_kernels(core: str, tmp_path: Path) -> None:
    """No name of theirs is the runtime's, too."""
    assert "mbn_simd.h" in one_header(quantized(tiny_mobilenet_v2()), core, tmp_path)


@pytest.mark.parametrize("emit", PACKAGINGS)
def test_every_package_has_licence_readme_and_example(emit: str) -> None:
    files = {path.removeprefix(f"{emit}/{NAME}/"): data for path, data in package(emit, CORES[emit]).items()}
    assert files["LICENSE"].startswith(b"SPDX-License-Identifier: 0BSD") and b"tiny 'net'.onnx" in files["LICENSE"]
    assert files["README.md"].startswith(f"# {NAME}".encode())
    assert any(path.startswith(("examples/classify/", "samples/classify/")) for path in files)
    here = str(ROOT).encode()
    assert not any(here in data for data in files.values()), "an absolute path"
    assert package(emit, CORES[emit]) == package.__wrapped__(emit, CORES[emit])  # same input, same bytes


def text_of(emit: str, path: str) -> str:
    return package(emit, CORES[emit])[f"{emit}/{NAME}/{path}"].decode()


def test_arduino_properties() -> None:
    """The fields the library specification asks for; the name is a folder's and an include's."""
    facts = dict(line.split("=", 1) for line in text_of("arduino", "library.properties").splitlines() if line)
    wanted = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert wanted <= set(facts) and facts["name"] == NAME and facts["includes"] == f"{NAME}.h"
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"]) and facts["category"] == "Data Processing"
    assert not facts["paragraph"].startswith(facts["sentence"])
    rows = [line.split("\t") for line in text_of("arduino", "keywords.txt").splitlines() if line]
    assert all(len(row) == 2 and row[1] in ("KEYWORD1", "KEYWORD2") for row in rows)


def test_platformio_manifest() -> None:
    manifest = json.loads(text_of("platformio", "library.json"))
    assert manifest["name"] == NAME and manifest["license"] == "0BSD" and manifest["build"]["srcDir"] == "src"
    for example in manifest["examples"]:
        for file in example["files"]:
            assert text_of("platformio", f"{example['base']}/{file}")
    paths = {path.removeprefix(f"platformio/{NAME}/") for path in package("platformio", CORES["platformio"])}
    sources = {path for path in paths if path.startswith("src/")}
    assert sources == {path for path in manifest["export"]["include"] if path.startswith("src/")}
    compiled = {f"+<{path.removeprefix('src/')}>" for path in sources if path.endswith(".c")}
    assert manifest["build"]["srcFilter"] == ["-<*>", *sorted(compiled)], "and no file that somebody else put there"


def test_platformio_packs_it(tmp_path: Path) -> None:
    """`pio pkg pack`, but for the list of licences, which it would fetch."""
    if importlib.util.find_spec("platformio") is None:
        pytest.skip("platformio is not installed (pip install platformio)")
    script = (
        "import sys\nfrom platformio.package.manifest.schema import ManifestSchema\n"
        "ManifestSchema.load_spdx_licenses = staticmethod(lambda: {'licenses': [{'licenseId': '0BSD'}]})\n"
        "from platformio.package.pack import PackagePacker\nprint(PackagePacker(sys.argv[1]).pack(sys.argv[2]))\n"
    )
    folder = written("platformio", CORES["platformio"], tmp_path)
    compiled([sys.executable, "-c", script, str(folder), str(tmp_path)], folder)
    names = subprocess.run(["tar", "tzf", *map(str, tmp_path.glob("*.tar.gz"))], capture_output=True, text=True).stdout
    assert f"src/{NAME}.c" in names and "examples/classify/main.c" in names and "LICENSE" in names


def test_esp_idf_packs_it(tmp_path: Path) -> None:
    tool = shutil.which("compote")
    if tool is None:
        pytest.skip("compote is not installed (pip install idf-component-manager)")
    folder = written("esp-idf", CORES["esp-idf"], tmp_path)
    compiled([tool, "component", "pack", "--name", NAME, "--project-dir", "."], folder)
    assert list(folder.glob(f"dist/{NAME}_*.tgz"))


def test_zephyr_module() -> None:
    module = text_of("zephyr", "zephyr/module.yml")
    assert re.search(r"^name: person$", module, re.M) and re.search(r"^  cmake: zephyr$", module, re.M)
    assert re.search(r"^  kconfig: zephyr/Kconfig$", module, re.M)
    assert "CONFIG_PERSON=y" in text_of("zephyr", "samples/classify/prj.conf")
    pattern = re.search(r'- "(.*)"', text_of("zephyr", "samples/classify/sample.yaml"))
    assert pattern is not None and re.match(pattern.group(1), expected())


def test_zephyr_kconfig(tmp_path: Path) -> None:
    kconfiglib = pytest.importorskip("kconfiglib", reason="kconfiglib is not installed (pip install kconfiglib)")
    folder = written("zephyr", CORES["zephyr"], tmp_path)
    symbol = kconfiglib.Kconfig(str(folder / "zephyr" / "Kconfig")).syms["PERSON"]
    assert symbol.type == kconfiglib.BOOL and symbol.nodes[0].help


def test_cmsis_pack() -> None:
    """The description names every file, each is in the archive, and the archive holds nothing else."""
    bundle = package("cmsis-pack", "cortex-m55")
    (path,) = (path for path in bundle if path.endswith(".pack"))
    with zipfile.ZipFile(io.BytesIO(bundle[path])) as archive:
        assert archive.testzip() is None
        inside = {name: archive.read(name) for name in archive.namelist()}
    root = Xml.fromstring(inside[f"mbn2c.{NAME}.pdsc"])
    vendor, name, release = root.findtext("vendor"), root.findtext("name"), root.find("releases/release")
    assert release is not None and path == f"cmsis-pack/{vendor}.{name}.{release.get('version')}.pack"
    assert root.findtext("license") in inside
    order = [child.tag for child in root]
    assert order == [tag for tag in PDSC_ORDER if tag in order]
    named = {file.get("name") for file in root.iter("file") if file.get("category") != "include"}
    assert named == set(inside) - {"LICENSE", f"mbn2c.{NAME}.pdsc"}
    conditions = {condition.get("id") for condition in root.iter("condition")}
    assert {component.get("condition") for component in root.iter("component")} == conditions == {"Cortex-M55"}
    assert [require.get("Dcore") for require in root.iter("require")] == ["Cortex-M55"]


# Open-CMSIS-Pack, the sequence of elements in /package.
PDSC_ORDER = (
    "vendor",
    "name",
    "description",
    "url",
    "supportContact",
    "license",
    "licenseSets",
    "repository",
    "releases",
    "keywords",
    "requirements",
    "generators",
    "devices",
    "boards",
    "conditions",
    "taxonomy",
    "apis",
    "components",
    "examples",
)


@pytest.mark.parametrize(
    ("emits", "core", "message"),
    [
        (("make", "bazel"), "cortex-m4", "--emit bazel is not known"),
        (("esp-idf",), "cortex-m4", "--emit esp-idf has no cortex-m4"),
        (("cmsis-pack",), "rv32imc", "--emit cmsis-pack has no rv32imc"),
        (("pico-sdk",), "host", "--emit pico-sdk has no host"),
    ],
)
def test_refusals(emits: tuple[str, ...], core: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_emits(emits, load_core(core))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", str(demo.MODEL_FILE), "--target", "cortex-m33", "--calib", "random", "--quantize", "fast"]
    out = tmp_path / "out"
    assert main([*words, "--name", NAME, "--emit", "arduino,zephyr", "--emit", "single-header", "-o", str(out)]) == 0
    folders = {"arduino", "zephyr", "single-header", "build", "model"}
    assert {path.name for path in out.iterdir() if path.is_dir()} == folders
    assert not (out / "CMakeLists.txt").exists() and (out / "Makefile").is_file()
    assert (out / "arduino" / NAME / "src" / f"{NAME}.c").read_bytes() == (out / f"{NAME}.c").read_bytes()
    capsys.readouterr()
    assert main([*words, "--emit", "arduino,nix", "-o", str(tmp_path / "other")]) == 2
    assert "nix is not known" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_the_page_names_every_packaging() -> None:
    page = (ROOT / "docs" / "packages.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.M) == list(EMITS)
