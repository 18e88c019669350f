"""Model, samples and target -> output folder: the stages, one after the other.

Nothing is written before everything that can be refused has been checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from mbn2c.commands.build_options import BuildOptions as BuildOptions
from mbn2c.commands.build_record import build_record
from mbn2c.commands.expected_flash import expected_flash_bytes, flash_limit_of, wants_one_body
from mbn2c.commands.fit import check_fit
from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.c_names import check_prefix, prefix_of
from mbn2c.emit.network.model import Names, model_files
from mbn2c.emit.packages.blob import blob_folder, blob_version
from mbn2c.emit.packages.packagings import BLOB, PACKAGINGS, check_emits, check_version, package_folder
from mbn2c.emit.packages.readme import MODEL_FOLDER, readme
from mbn2c.errors import UsageError
from mbn2c.files.bundle import Bundle
from mbn2c.files.user_files import text_of
from mbn2c.ir.graph import Graph
from mbn2c.kernels.call_bounds import TRIED, call_bounds
from mbn2c.kernels.sections import check_sections, sections_of
from mbn2c.network.file import NETWORK, graph_to_bytes
from mbn2c.network.options import WEIGHTS_4, WEIGHTS_8
from mbn2c.network.read import read_network
from mbn2c.network.stress_inputs import choose_stress
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.planner.cost import node_instructions
from mbn2c.planner.plan_file import PLAN, PlanSubject, plan_to_bytes
from mbn2c.progress import Stages
from mbn2c.quantize.int16 import Planned
from mbn2c.report.html import report_page
from mbn2c.report.json import to_json
from mbn2c.report.record import BuildFacts, BuildRecord
from mbn2c.targets import load_core
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.class_names import read_class_names
from mbn2c.tasks.inputs import Preprocess, pixel_tables
from mbn2c.tasks.protocol import Task
from mbn2c.tasks.registry import task_of_graph

BUILD_STAGES = _FIT, _QUANTIZE, _PLAN, _EMIT, _STRESS = (
    "check memory",
    "quantize",
    "plan memory",
    "write C",
    "choose stress set",
)
REPORT, REPORT_PAGE = "report.json", "report.html"


def build(options: BuildOptions, stages: Stages | None = None) -> Bundle:
    """Everything a build writes, path -> bytes.

    stages  that BUILD_STAGES begin in
    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    stages = stages or Stages(BUILD_STAGES)
    check_emits(options.emit, options.core)
    check_version(options.package_version)
    if BLOB in options.emit:
        blob_version(options.package_version)
    check_sections(options.weights_in, options.board)
    if options.prefetch and not options.weights_in:
        raise UsageError("--prefetch is for weights that lie apart", hint="--weights-in SECTION")
    prefix = check_prefix(options.name) if options.name else prefix_of(options.model.stem)
    labels = read_class_names(options.labels) if options.labels else ()
    stages.begin(_FIT)
    check_fit(options)
    flash_limit = flash_limit_of(options.board, options.flash_limit)

    def planned(graph: Graph) -> Choice:
        sections = sections_of(options.weights_in, graph)
        return choose_plan(graph, options.core, options.optimize, options.ram_limit, options.board, sections=sections)

    def planned_with_costs(graph: Graph) -> Planned:
        choice = planned(graph)
        instructions = node_instructions(choice.plan, choice.kernels)
        return Planned(choice.plan, instructions, expected_flash_bytes(choice, flash_limit))

    if options.recompute is None and options.ram_limit is None and options.board is None:
        options = replace(options, recompute=0.0)  # anything fits
    # Only `auto` may change weights for a board's sake.
    weights_limit = options.flash_limit if options.weights in (WEIGHTS_8, WEIGHTS_4) else flash_limit
    limited = replace(options, flash_limit=weights_limit)
    network = read_network(limited, labels, stages.begin(_QUANTIZE), planned_with_costs)
    stages.begin(_PLAN)
    choice = planned(network.graph)
    tables = None
    if options.input_kind == "uint8":
        tables = pixel_tables(network.graph, network.preprocess or Preprocess())
    names = Names(
        prefix,
        text_of(options.model.name),
        hashlib.sha256(network.int8_model).digest(),
        labels,
        tables,
        network.task,
        network.preprocess,
        options.camera,
        options.resize,
        options.slice,
        choice.sections,
        options.core.rows_per_run > 1 and not options.prefetch,
        wants_one_body(choice, flash_limit),
        options.prefetch,
    )
    if options.slice is not None:
        _check_slice(options.slice, choice)
    stages.begin(_EMIT)
    code = c_files(choice.plan, choice.kernels, names, options.core, options.board, beside=options.beside)
    alone = model_files(choice.plan, choice.kernels, names) if options.beside else code
    record = replace(
        build_record(options, network, choice, names, planned(network.int8_only) if network.int8_only else None),
        stress=tuple(choose_stress(network.graph, tables, stages.begin(_STRESS))),
        sources=tuple(sorted(path for path in alone if "/" not in path and path.endswith(".c"))),
    )
    graph = graph_to_bytes(network.graph)
    subject = PlanSubject.of(hashlib.sha256(graph).hexdigest(), options.core, options.board)
    kept = {NETWORK: graph, PLAN: plan_to_bytes(choice, subject), **network.models}
    kept = {in_model_folder(name): content for name, content in kept.items()}
    if BLOB in options.emit:
        code |= blob_folder(choice.plan, choice.kernels, names, options.core, options.package_version)
    return {**_packaged(options, names, code), **kept, **report_files(record)}


def _check_slice(instructions: int, choice: Choice) -> None:
    """Raises UsageError if a step cannot be made in slices of so many instructions."""
    unbounded = [node for node in choice.plan.graph.nodes if OPERATORS[node.op].is_postprocessing]
    if unbounded:
        what = f"what {unbounded[0].op} takes depends on the image, so that no slice holds it"
        raise UsageError(what, where=f"--slice, {unbounded[0].name}", hint="--task raw leaves it to you")
    bounds = call_bounds(choice.plan, choice.kernels)
    smallest = max(bounds) + 2 * TRIED
    if instructions < smallest:
        step = bounds.index(max(bounds))
        raise UsageError(
            f"one row of a step may take {max(bounds):,} instructions, more than a slice of {instructions:,}",
            where=f"--slice, step {step}, {choice.plan.calls[step].node or 'input'}",
            hint=f"--slice {smallest} is the smallest for this plan; a smaller input has cheaper rows",
        )


def _packaged(options: BuildOptions, names: Names, code: Bundle) -> Bundle:
    """The C, what compiles it, and the packagings that were asked for."""
    bundle = dict(code)
    sources = {path: content for path, content in code.items() if "/" not in path and path.endswith((".c", ".h"))}
    shown = "values" if names.task is None else names.task.example()
    packagings = tuple(sorted(set(options.emit) & set(PACKAGINGS)))
    folders = packagings + ((BLOB,) if BLOB in options.emit else ())
    for emit in packagings:
        bundle |= package_folder(
            emit,
            name=names.prefix,
            title=names.title,
            core=options.core,
            code=sources,
            shown=shown,
            version=options.package_version,
        )
    if "cmake" not in options.emit:
        del bundle["CMakeLists.txt"]
    return bundle | readme(
        bundle,
        name=names.prefix,
        title=names.title,
        core=options.core,
        board=options.board,
        command=options.command,
        packagings=folders,
    )


def in_model_folder(name: str) -> str:
    """Where a file of the network that no compiler reads lies in OUT."""
    return f"{MODEL_FOLDER}/{name}"


def report_files(record: BuildRecord) -> Bundle:
    """report.json, and the same as a page to look at."""
    return {REPORT: to_json(record).encode(), REPORT_PAGE: report_page(record).encode()}


def task_of(graph: Graph, facts: BuildFacts, kinds: Mapping[str, str]) -> Task:
    """What the outputs of a network that was built before mean.

    kinds  what the user says of an output by name, beside what the build was told
    raises UsageError if the build's task does not know a kind, or does not take the outputs any more
    """
    return task_of_graph(graph, {**facts.output_kinds, **kinds}, len(facts.labels), facts.task)


def preprocess_of(facts: BuildFacts) -> Preprocess:
    """The preprocessing that a network was built with; none stands for the identity."""
    return Preprocess() if facts.preprocess is None else Preprocess(facts.preprocess.mean, facts.preprocess.std)


def camera_of(facts: BuildFacts) -> Camera | None:
    """Whose rows the C of a build takes, and through which its images are read."""
    return Camera.parse(facts.camera) if facts.camera else None


def names_of(graph: Graph, record: BuildRecord) -> Names:
    """The Names of an output folder that was built before."""
    facts, model = record.build, record.model
    names = Names(
        record.prefix,
        model.file,
        bytes.fromhex(model.int8_sha256),
        facts.labels,
        task=task_of(graph, facts, {}),
        preprocess=None if facts.preprocess is None else preprocess_of(facts),
        camera=camera_of(facts),
        resize=facts.resize,
        slice=facts.slice,
        sections=facts.weights_in,
        threads=load_core(record.target).rows_per_run > 1 and not facts.prefetch,
        one_body=facts.one_body,
        prefetches=facts.prefetch,
    )
    if facts.input == "uint8":
        return replace(names, tables=pixel_tables(graph, preprocess_of(facts)))
    return names
