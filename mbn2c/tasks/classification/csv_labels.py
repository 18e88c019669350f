"""Labels CSV -> class indices by image file, and of the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from mbn2c.errors import UsageError
from mbn2c.files.csv_table import has_column, read_csv
from mbn2c.tasks.class_names import class_index


def read_labels(path: Path, class_names: Sequence[str] = ()) -> dict[str, int]:
    """File, as the CSV names it -> class index, from a CSV with a header.

    The header names `file` and one of `index`, `label`, `class` (more columns are ignored; the first of these wins).
    A label is a class index, or one of `class_names`.

    raises  UsageError naming the line
    """
    rows = read_csv(path, "file,index")
    column = next((name for name in ("index", "label", "class") if has_column(rows, name)), None)
    if column is None or not has_column(rows, "file"):
        raise UsageError(
            "the header has no 'file', or none of 'index', 'label' and 'class'",
            where=str(path),
            hint="first line e.g.: file,index",
        )
    labels: dict[str, int] = {}
    for line, row in rows.items():
        name, text = PurePath(row["file"].strip()).as_posix(), row[column].strip()
        if not row["file"].strip():
            raise UsageError("a row without a file name", where=f"{path}, line {line}", hint="fill or remove it")
        index = class_index(text, class_names)
        if index is None:
            raise UsageError(
                f"'{text[:80]}' is no class index" + (" and no class name" if class_names else ""),
                where=f"{path}, line {line}",
                hint="an index from 0 on" + ("" if class_names else "; class names need the file that lists them"),
            )
        if labels.setdefault(name, index) != index:
            raise UsageError(f"'{name}' has two labels", where=f"{path}, line {line}", hint="remove one")
    return labels


def labels_of(names: Sequence[str], labels: Mapping[str, int], classes: int, source: str) -> list[int]:
    """The class index of each sample.

    names   of the samples: file names, or "folder/file"
    labels  by file; of two names that belong together one may have more folders before it than the other
    source  the labels file, for messages
    raises  UsageError if a sample has no label, or several, or one the network has no output for
    """
    found = {name: file for name, file in zip(names, _files_of(names, labels, source), strict=True) if file}
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(
            f"no label for {len(missing)} of {len(names)} images, the first is '{missing[0]}'",
            where=source,
            hint="its 'file' column must hold the file names of the images folder",
        )
    for name, file in found.items():
        if not 0 <= labels[file] < classes:
            raise UsageError(
                f"'{name}' has class index {labels[file]}, the model has {classes} classes",
                where=source,
                hint="indices run from 0; check that labels and model belong together",
            )
    return [labels[found[name]] for name in names]


def _files_of(names: Sequence[str], labels: Mapping[str, int], source: str) -> Iterator[str | None]:
    """Of each sample the file in `labels` that is meant; None if there is none."""
    by_last: dict[str, list[str]] = {}
    for file in labels:
        by_last.setdefault(file.rpartition("/")[2], []).append(file)
    taken: dict[str, str] = {}
    for name in names:
        last = name.rpartition("/")[2]
        alike = by_last.get(last, ())
        files = [file for file in alike if f"/{name}".endswith(f"/{file}") or file.endswith(f"/{name}")]
        files = [name] if name in files else files
        if len({labels[file] for file in files}) > 1:
            raise UsageError(f"'{name}' has two labels", where=source, hint=f"keep one of {', '.join(files[:3])}")
        if files and taken.setdefault(files[0], name) != name:
            raise UsageError(
                f"'{files[0]}' may be {taken[files[0]]} or {name}",
                where=source,
                hint="name the folder too: folder/file",
            )
        yield files[0] if files else None
