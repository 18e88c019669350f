"""Outputs of a network -> its task: the first that takes them, of all tasks in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache

import mbn2c.tasks
from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.tasks.outputs import Output, outputs_of
from mbn2c.tasks.protocol import Task

_added: list[type[Task]] = []


@cache
def _found() -> tuple[type[Task], ...]:
    """TASK of every module and package here that has one."""
    names = sorted(module.name for module in pkgutil.iter_modules(mbn2c.tasks.__path__))
    modules = [importlib.import_module(f"mbn2c.tasks.{name}") for name in names]
    return tuple(module.TASK for module in modules if hasattr(module, "TASK"))


def register(task: type[Task]) -> None:
    """Ask a task from elsewhere, too: before all others. Raises ValueError if its name is taken."""
    if any(other.name == task.name for other in all_tasks()):
        raise ValueError(f"there is a task called '{task.name}'")
    _added.append(task)


def forget(task: type[Task]) -> None:
    """Undo `register`."""
    _added.remove(task)


def all_tasks() -> list[type[Task]]:
    """In the order in which they are asked."""
    return sorted([*reversed(_added), *_found()], key=lambda task: task.is_last)


def all_kinds() -> list[str]:
    """What `--output-kind` may say."""
    return [kind for task in all_tasks() for kind in task.kinds]


def task_named(name: str) -> type[Task]:
    """raises  UsageError if there is none"""
    for task in all_tasks():
        if task.name == name:
            return task
    known = ", ".join(task.name for task in all_tasks())
    raise UsageError(f"no task is called '{name}'", where="what the outputs mean", hint=f"this mbn2c has {known}")


def task_of_graph(graph: Graph, kinds: Mapping[str, str], class_names: int = 0, name: str = "") -> Task:
    """The task of a Graph, float32 or int8; arguments and errors as of `recognise`."""
    outputs = outputs_of(graph)
    if graph.decoding is None or kinds:
        return recognise(outputs, kinds, class_names, name)
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    return task_named(graph.decoding.task).of_decoding(outputs, graph.decoding, height, width)


def recognise(outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int = 0, name: str = "") -> Task:
    """The task of a network.

    kinds        by name of an output: what the user says; decides which tasks are asked
    class_names  how many class names the user gave; 0: none
    name         of the only task to ask; "": all
    raises       UsageError for a name that no output has, or a kind that no task has
    """
    names = [output.name for output in outputs]
    for output in kinds:
        if output not in names:
            hint = f"one of {', '.join(names)}"
            raise UsageError(f"no output is called '{output}'", where="--output-kind", hint=hint)
    asked = [task_named(name)] if name else all_tasks()
    known = [kind for task in asked for kind in task.kinds]
    for kind in kinds.values():
        if kind not in known:
            raise UsageError(f"no kind of output is called '{kind}'", where="--output-kind", hint=", ".join(known))
    for task in asked:
        if set(kinds.values()) <= set(task.kinds) and (found := task.recognise(outputs, kinds, class_names)):
            return found
    said = ", ".join(f"{output}={kind}" for output, kind in kinds.items())
    where = f"--output-kind {said}" if said else "what the outputs mean"
    raise UsageError(
        f"outputs {', '.join(names)} are of no task", where=where, hint="give kinds that belong to one task, and fit"
    )
