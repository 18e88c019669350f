"""`make mutants`: do the tests of a room notice when its code is wrong?

cosmic-ray makes the mutants: an operator, a comparison, a number, a condition of one file is changed. Of each file in
mutation.toml a sample is tried, the same on every run, against the tests that stand nearest. A mutant is caught if they
fail, raise or do not end. Prints a table with the survivors; exit code 1 if a file's tests catch less than `at_least`
of the mutants that change behaviour. Those that change none are in equivalent_mutants.toml, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TREE = ("mbn2c", "templates", "targets", "tests", "docs", "firmware_examples", "pyproject.toml", "README.md")
# What takes long to import and is never mutated: once for all mutants.
GUESTS = ("numpy", "onnx", "onnxruntime", "hypothesis.strategies", "jinja2", "PIL.Image", "pytest", "serial")
# Equal for all that the code compares: None, small numbers, names. And how a function is kept, not what it returns.
EXCLUDED = ("Is_Eq", "Eq_Is", "IsNot_NotEq", "NotEq_IsNot", "RemoveDecorator")
MEMORY_BYTES = 8 << 30


@dataclass(frozen=True)
class Mutant:
    """One change of one line: `old` and `new` without indentation, `code` the whole file after it."""

    file: str
    row: int
    old: str
    new: str
    code: str

    def __str__(self) -> str:
        return f"{self.file}:{self.row}\n      - {self.old}\n      + {self.new}"


# --- mutants of a file ---


def mutants(file: str, source: str, seed: int) -> Iterator[Mutant]:
    """All places of a file that can be changed, in an order drawn from the text of their lines, with one change each.

    An edit elsewhere in the file so leaves the order of the others as it was.
    """
    plugins = importlib.import_module("cosmic_ray.plugins")
    syntax = importlib.import_module("cosmic_ray.ast")
    mutate_code = importlib.import_module("cosmic_ray.mutating").mutate_code
    tree, spared, lines = syntax.get_ast(source), _spared(source), source.splitlines()
    places: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in sorted(plugins.operator_names()):
        kind = plugins.get_operator(name)
        if kind.arguments() or name.endswith(EXCLUDED):
            continue
        found = [at for node in syntax.ast_nodes(tree) for at in kind().mutation_positions(node)]
        for occurrence, (start, _) in enumerate(found):
            if not any(low <= start < high for low, high in spared):
                places.setdefault(start, []).append((name, occurrence))

    def drawn(*words: object) -> str:
        return hashlib.sha256("\0".join(map(str, (seed, file, *words))).encode()).hexdigest()

    for start in sorted(places, key=lambda at: drawn(lines[at[0] - 1].strip(), at[1])):
        line = lines[start[0] - 1]
        name, occurrence = min(places[start], key=lambda way: drawn(line.strip(), start[1], way[0]))
        code = mutate_code(source, plugins.get_operator(name)(), occurrence)
        changed = [pair for pair in zip(lines, code.splitlines(), strict=False) if pair[0] != pair[1]]
        if changed:
            yield Mutant(file, start[0], changed[0][0].strip(), changed[0][1].strip(), code)


def _spared(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where a change is none: type hints, which are not evaluated, decorators; and an operator's examples, which are
    the tests' own data."""
    nodes: list[ast.expr | ast.stmt | None] = []
    for node in ast.walk(ast.parse(source)):
        nodes += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        nodes += getattr(node, "decorator_list", [])
        if isinstance(node, ast.FunctionDef) and node.name == "cases":
            nodes += node.body
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)) for node in nodes if node
    ]


# --- tests of a mutant, in a copy of the tree, in a process that has imported the guests ---


def copy_tree(tree: Path) -> None:
    """What tests need of the checkout; edits during a run change nothing."""
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)


def prepare(original: Path) -> None:
    """Of a worker: a copy of the tree of its own, from which mbn2c is imported."""
    tree = original.parent / str(os.getpid())
    shutil.copytree(original, tree)
    os.chdir(tree)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path[:] = [str(tree), *(path for path in sys.path if Path(path).resolve() not in (ROOT, HERE))]
    importlib.import_module("compileall").compile_dir("mbn2c", quiet=2)
    sys.dont_write_bytecode = True
    for name in GUESTS:
        importlib.import_module(name)


def passes(file: str, code: str, tests: Sequence[str], timeout_s: float) -> tuple[bool, float, str]:
    """Whether the tests pass when `file` reads `code`, in how many seconds, and what pytest says."""
    path, said = Path(file), Path("said.txt")
    original = path.read_text(encoding="utf-8")
    path.write_text(code, encoding="utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()
    try:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(_pytest(tests, said))
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() - start < timeout_s:
            time.sleep(0.02)
        if ended[0] == 0:
            os.killpg(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
        return ended[1] == 0, time.monotonic() - start, said.read_text(errors="replace")
    finally:
        path.write_text(original, encoding="utf-8")


def _pytest(tests: Sequence[str], said: Path) -> int:
    os.setsid()
    with said.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        pytest = importlib.import_module("pytest")
        words = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", *tests]
        return int(pytest.main(words, plugins=[_Unshrunk()]))
    except BaseException:
        return 70


class _Unshrunk:
    """Hypothesis need not look for the smallest example."""

    def pytest_configure(self) -> None:
        hypothesis = importlib.import_module("hypothesis")
        quick = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings.get_profile("mbn2c"), phases=quick)
        hypothesis.settings.load_profile("mutants")


# --- the table ---


class BaselineError(Exception):
    """Nothing can be said of tests that fail as it is."""


@dataclass
class Row:
    """Of a file: its mutants by what became of them."""

    caught: list[Mutant]
    survived: list[Mutant]
    equivalent: list[Mutant]

    @property
    def rate(self) -> float:
        tried = len(self.caught) + len(self.survived)
        return len(self.caught) / tried if tried else 1.0


def examine(
    file: str,
    source: str,
    tests: Sequence[str],
    count: int,
    seed: int,
    known: set[tuple[str, str, str]],
    pool: ProcessPoolExecutor,
) -> Row:
    """Try `count` mutants of a file, and none of those that are known to change nothing."""
    fine, seconds, said = pool.submit(passes, file, source, tests, 600.0).result()
    if not fine:
        raise BaselineError(f"the tests fail without a mutant: {' '.join(tests)}\n{said}")
    row, jobs = Row([], [], []), list[tuple[Mutant, Future[tuple[bool, float, str]]]]()
    for mutant in mutants(file, source, seed):
        if (mutant.file, mutant.old, mutant.new) in known:
            row.equivalent.append(mutant)
        else:
            jobs.append((mutant, pool.submit(passes, file, mutant.code, tests, 20 + 4 * seconds)))
        if len(jobs) == count:
            break
    for mutant, job in jobs:
        (row.survived if job.result()[0] else row.caught).append(mutant)
    return row


def main() -> int:
    table = tomllib.loads((HERE / "mutation.toml").read_text(encoding="utf-8"))
    equivalents = tomllib.loads((HERE / "equivalent_mutants.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only files whose path has one of these in it")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--count", type=int, default=table["mutants_per_file"], help="mutants of each file")
    parser.add_argument("--seed", type=int, default=table["seed"])
    args = parser.parse_args()
    known = {(entry["file"], entry["old"], entry["new"]) for entry in equivalents["mutants"]}
    bad, survivors, start = 0, 0, time.monotonic()
    print(f"{'file':40} caught survived equivalent")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        original = Path(folder) / "original"
        original.mkdir()
        copy_tree(original)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(args.jobs, mp_context=context, initializer=prepare, initargs=(original,)) as pool:
            for room in table["rooms"]:
                for file in room["files"]:
                    if args.words and not any(word in file for word in args.words):
                        continue
                    try:
                        source = (original / file).read_text(encoding="utf-8")
                        row = examine(file, source, room["tests"], args.count, args.seed, known, pool)
                    except BaselineError as error:
                        bad += 1
                        print(f"{file:40} {error}", flush=True)
                        continue
                    low = row.rate < table["at_least"]
                    bad += low
                    survivors += len(row.survived)
                    figures = f"{len(row.caught):6} {len(row.survived):8} {len(row.equivalent):10}"
                    print(f"{file:40} {figures}  {row.rate:4.0%}{'  too few' if low else ''}", flush=True)
                    for mutant in row.survived:
                        print(f"  survived: {mutant}", flush=True)
    print(f"{survivors} survived, {time.monotonic() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
