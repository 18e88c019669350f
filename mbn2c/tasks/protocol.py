"""What a task is: all that build, verify, the reports, the C and the pytest fixture ask about what outputs mean.

A new task is a module or package in this folder that calls a subclass of `Task` TASK; `registry` finds it. No other
room knows what an output means: it hands numbers in and gets records, figures, rows of text and C back.

    recognise        names, shapes and ends of the outputs          -> the task, or None if it is another's
    find_labels      images and what is said of them                -> what is true of each image
    compare          int8 and float values of one image             -> a record, which a verify that goes on remembers
    judge_*          the records of all images                      -> JSON: metric with interval, agreement, SQNR
    check_*          that JSON, and what --max-drop allows          -> GateError
    *_rows           that JSON                                      -> lines for people
    result_files     images, their records, what is true of them    -> pictures and tables to look at
    c_functions      scales and offsets of the outputs              -> what the generated C offers beside `run`
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Decoding, Graph
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.inputs import InputSpec
from mbn2c.tasks.outputs import Output

# Of `--task`: what a file makes of its last numbers is left to the user, and the device returns them as they are.
RAW = "raw"
Json = dict[str, Any]
Rows = list[tuple[str, str]]
# Share of the rounding noise at the outputs, by layer, as far as known: where a gate that fails says to look.
Costs = Mapping[str, float]


@dataclass(frozen=True)
class Limits:
    """What the gates allow; None: no gate.

    max_drop  percent of accuracy that int8 may lose against the float model, with 95 % confidence
    min_sqnr  dB of signal to noise that every output must have against the float model
    """

    max_drop: float | None = None
    min_sqnr: float | None = None


@dataclass(frozen=True)
class Labels:
    """What is true of the images.

    truths  of each image, plain JSON; None where it is not known
    source  "csv", "folders", or None
    note    in words: what it was taken for, or why it is not used
    """

    truths: list[Any] | None = None
    source: str | None = None
    note: str = ""

    def to_json(self) -> Json:
        """Source and note, as report.json keeps them; the truths stay with the images."""
        return {"source": self.source, "note": self.note}


@dataclass(frozen=True)
class Answers:
    """What was computed of one image: real values [1, H, W, C] of every output, before its tail.

    int8       of the int8 network: a device's in `verify`, ONNX Runtime's in `build`
    float32    of the user's float model; None without one
    oracle     of the int8 network in ONNX Runtime, where `int8` is a device's
    reference  what a device must return, where `int8` is a device's
    """

    int8: Sequence[np.ndarray]
    float32: Sequence[np.ndarray] | None = None
    oracle: Sequence[np.ndarray] | None = None
    reference: Sequence[np.ndarray] | None = None


@dataclass(frozen=True)
class HeldBack:
    """Images that did not help to quantize, and what the int8 network makes of them.

    records   of each, as `Task.compare` made it
    folds     networks that were made to judge the calibration images, each from the others: 4 is cross-validation of
              all, 1 holds a quarter back, with 0 they are too few, and judged by the network that is made from them
    left_out  of the images: those that --calib-limit left out, which are judged by the network itself
    """

    records: Sequence[Any] = ()
    labels: Labels = field(default_factory=Labels)
    folds: int = 0
    left_out: int = 0

    def to_json(self, task: Task) -> Json:
        """`quantization.held_back` of report.json."""
        return {
            "images": len(self.records),
            "folds": self.folds,
            "left_out_images": self.left_out,
            "labelled": self.labels.truths is not None and None not in self.labels.truths,
            "labels": self.labels.to_json(),
            **task.judge_held_back(self),
        }


@dataclass(frozen=True)
class CValues:
    """What the C of an output's function may be made from.

    outside  the output's name, safe in a comment
    offset   of its first byte in what `run` fills; arena_offset: in the arena, until the next inference
    bytes    one for each value
    """

    outside: str
    offset: int
    bytes: int
    scale: float
    zero_point: int
    arena_offset: int = 0


@dataclass(frozen=True)
class CFunction:
    """A function that the generated C offers: <prefix>_<name>, in a file of that name.

    declaration  for the header: a comment that says what it is for, and its prototype
    template     of its file, in templates/; "" where `source` is the whole file
    values       what the template needs beside the network's own; arrays and floats are spelt as C by the emitter
    """

    name: str
    declaration: str
    template: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Task(ABC):
    """What a network's outputs mean.

    outputs  in the file's order
    because  in words, why it is this task

    name     in JSON
    about    in a line, for docs/accuracy.md
    kinds    what `--output-kind` may say of an output
    record   the dataclass that `compare` makes, of what `files.typed_json` reads back
    figures  fields of verify's JSON that a test report shows
    is_last  asked only after all others, because it takes any network
    """

    outputs: tuple[Output, ...]
    because: str

    name: ClassVar[str]
    about: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ()
    record: ClassVar[type]
    figures: ClassVar[tuple[str, ...]] = ()
    is_last: ClassVar[bool] = False

    # --- which network, and what is said of it ---------------------------------------------------

    @classmethod
    @abstractmethod
    def recognise(cls, outputs: Sequence[Output], kinds: Mapping[str, str], class_names: int) -> Self | None:
        """The task, if these are its outputs.

        kinds        by name of the output: what the user says, only kinds of this task; not empty: it is this task
        class_names  how many the user gave; 0: none
        """

    @classmethod
    def of_decoding(cls, outputs: Sequence[Output], decoding: Decoding, height: int, width: int) -> Self:
        """The task that makes again what the importer cut off.

        outputs        the heads, what is left of the file
        height, width  of the network's input
        raises         ValueError for what the importer has not made
        """
        raise ValueError(f"nothing is decoded by {cls.name}")

    def with_options(self, options: Mapping[str, float]) -> Self:
        """With what the user says of it, by name. Raises UsageError for what it does not know."""
        if options:
            raise UsageError(
                f"--{next(iter(options)).replace('_', '-')} is of detection, and this is {self.name}",
                hint="leave it out",
            )
        return self

    def options(self) -> Mapping[str, float]:
        """What `with_options` may change, as it is."""
        return {}

    def on_device(self, graph: Graph) -> Graph:
        """The int8 Graph with the operators of the task behind its outputs, which become `heads`."""
        return graph

    @abstractmethod
    def described(self) -> list[Json]:
        """Of each output what it is, as report.json has it; `name` and `shape` [1, H, W, C] at least."""

    @classmethod
    @abstractmethod
    def words(cls, described: Json) -> str:
        """One of `described` for people, as the end of "output 'name' 1x1x10, "."""

    def check_class_names(self, names: Sequence[str]) -> None:  # noqa: B027 - a task without classes takes any
        """Raises UsageError if the class names of `build --labels` are not the outputs'."""

    def check_limits(self, limits: Limits) -> None:  # noqa: B027
        """Raises UsageError, before any work, for a gate that says nothing of these outputs."""

    # --- images ----------------------------------------------------------------------------------

    def open_samples(self, path: Path, spec: InputSpec, *, resize: str = "crop", limit: int | None = None) -> Samples:
        """The images as this task wants them; arguments and errors are those of `images.open_samples`."""
        return open_samples(path, spec, resize=resize, limit=limit)

    @abstractmethod
    def find_labels(
        self, names: Sequence[str], folders: Sequence[str], file: Path | None, class_names: Sequence[str]
    ) -> Labels:
        """What is true of the images.

        names    of the images, "folder/file" where each class has a folder
        folders  class folders, sorted; empty: there are none
        file     what the user says; counts more than folders
        raises   UsageError if the file does not fit images or outputs
        """

    @abstractmethod
    def compare(self, answers: Answers) -> Any:
        """The record of one image."""

    @abstractmethod
    def is_possible(self, record: Any, has_float: bool) -> bool:
        """Whether a record, whose fields are of the right types, can be one of an image of this network."""

    # --- all images ------------------------------------------------------------------------------

    def telling(self, number: int) -> tuple[float, float]:
        """Between which values of an output one tells more than another; beyond, none changes what is chosen."""
        return -np.inf, np.inf

    def importance(self, number: int) -> np.ndarray:
        """What noise in each channel of an output counts while a quantization is searched: float64 [C]."""
        return np.ones(self.outputs[number].channels)

    @abstractmethod
    def agreement(self, records: Sequence[Any]) -> float | None:
        """Share of decisions that int8 and float model have in common; None where there is nothing to decide."""

    @abstractmethod
    def judge_held_back(self, held_back: HeldBack) -> Json:
        """Its fields of `quantization.held_back` in report.json; `HeldBack.to_json` adds what every task has."""

    @abstractmethod
    def judge_verified(self, records: Sequence[Any], labels: Labels, has_float: bool) -> Json:
        """Its fields of `verify --json`, among them `sqnr_db`; `outputs` extends `described`."""

    def result_files(
        self, samples: Samples, records: Sequence[Any], labels: Labels, class_names: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        """What the folder `results` of a verify shows of the images: names of files, without folders, and contents."""
        return iter(())

    @classmethod
    @abstractmethod
    def check_held_back(cls, judged: Json, limits: Limits, costs: Costs) -> None:
        """The gates of `build`; judged: as of `HeldBack.to_json`. Raises GateError."""

    @classmethod
    @abstractmethod
    def check_verified(cls, judged: Mapping[str, Any], limits: Limits, costs: Costs) -> None:
        """The gates of `verify`; judged: all that `verify --json` prints, `labels` too. Raises GateError."""

    @classmethod
    @abstractmethod
    def held_back_rows(cls, judged: Mapping[str, Any]) -> Rows:
        """`HeldBack.to_json` for people."""

    @classmethod
    @abstractmethod
    def verified_rows(cls, judged: Mapping[str, Any]) -> Rows:
        """`verify --json` for people, as far as it is of outputs."""

    # --- C ---------------------------------------------------------------------------------------

    def c_functions(self, prefix: str, outputs: Sequence[CValues]) -> list[CFunction]:
        """What `<prefix>.h` offers beside the network."""
        return []

    def example(self) -> str:
        """What the examples of --emit print of an image: "class", the greatest byte's place; "boxes"; "map", of which
        they count the pixels that are not of class 0; or "values"."""
        return "values"

    def output_words(self, prefix: str, outputs: Sequence[CValues]) -> str:
        """What `<prefix>.h` says of the bytes that `run` fills."""
        return "rows of pixels of channels. real = scale * (value - zero_point)."
