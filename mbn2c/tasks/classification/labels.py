"""Labels CSV, or the names of class folders -> the class of each image, and in words where that is from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbn2c.tasks.classification.class_folders import classes_of_folders
from mbn2c.tasks.classification.csv_labels import labels_of, read_labels
from mbn2c.tasks.classification.outputs import OutputSpec
from mbn2c.tasks.protocol import Labels


def find_labels(
    names: Sequence[str], folders: Sequence[str], file: Path | None, class_names: Sequence[str], output: OutputSpec
) -> Labels:
    """A CSV counts more than the folders' names.

    names        of the samples
    folders      class folders, sorted; empty: there are none
    class_names  in index order; empty: not known
    output       the labels are its classes
    raises       UsageError if the CSV does not fit images or output
    """
    if file is not None:
        output.check_labels("a labels file")
        return Labels(labels_of(names, read_labels(file, class_names), output.label_count, str(file)), "csv")
    if not folders:
        return Labels()
    found = classes_of_folders(folders, class_names, output.label_count)
    return Labels(found.labels(names), None if found.index is None else "folders", found.note)


def doubt_of(accuracy: float, channels: int) -> str:
    """A doubt in the labels, in words, where the float model does not know them; else "".

    What is never right cannot be lost: against such labels every network keeps its accuracy.

    channels  of the output, one of them for a yes or no
    """
    if accuracy > 1 / max(2, channels):
        return ""
    return "float32 is no better than chance: do labels and classes belong together?"
