"""Classification: labels CSV and class name files -> class indices by image file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text

# Python refuses to read numbers of thousands of digits; no network has a billion classes.
_MAX_INDEX_DIGITS = 9


def read_labels(path: Path, class_names: Sequence[str] = ()) -> dict[str, int]:
    """File, as the CSV names it -> class index, from a CSV with a header.

    The header names `file` and `index` or `label` (more columns are ignored; `index` wins). A label is a class
    index, or one of `class_names`.

    raises  UsageError naming the line
    """
    rows = _read_csv(path)
    column = "index" if _has(rows, "index") else "label"
    if not _has(rows, "file") or not _has(rows, column):
        raise UsageError(
            "the header has no 'file', or neither 'index' nor 'label'",
            where=str(path),
            hint="first line e.g.: file,index",
        )
    labels: dict[str, int] = {}
    for line, row in rows.items():
        name, text = PurePath(row["file"].strip()).as_posix(), row[column].strip()
        if not row["file"].strip():
            raise UsageError("a row without a file name", where=f"{path}, line {line}", hint="fill or remove it")
        index = _class_index(text, class_names)
        if index is None:
            raise UsageError(
                f"'{text[:80]}' is no class index" + (" and no class name" if class_names else ""),
                where=f"{path}, line {line}",
                hint="an index from 0 on" + ("" if class_names else "; class names need the file that lists them"),
            )
        if labels.setdefault(name, index) != index:
            raise UsageError(f"'{name}' has two labels", where=f"{path}, line {line}", hint="remove one")
    return labels


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names in index order: a text file with one name a line, or a CSV with `index` and `name` (or `label`).

    raises  UsageError if a name is missing
    """
    if path.suffix.lower() != ".csv":
        names = [line.strip() for line in read_text(path, "class names", "one class name a line").splitlines()]
        while names and not names[-1]:
            names.pop()
        if not names or "" in names:
            line = names.index("") + 1 if names else 1
            raise UsageError("a class name is empty", where=f"{path}, line {line}", hint="one class name a line")
        return tuple(names)
    rows = _read_csv(path)
    column = "name" if _has(rows, "name") else "label"
    if not _has(rows, "index") or not _has(rows, column):
        raise UsageError("the header has no 'index' and 'name'", where=str(path), hint="first line: index,name")
    by_index: dict[int, str] = {}
    for line, row in rows.items():
        index = _class_index(row["index"].strip(), ())
        if index is None or by_index.setdefault(index, row[column].strip()) != row[column].strip():
            raise UsageError(
                f"index '{row['index'][:80]}' is no number, or has two names",
                where=f"{path}, line {line}",
                hint="correct it",
            )
    if sorted(by_index) != list(range(len(by_index))):
        raise UsageError("the indices do not run from 0 without a gap", where=str(path), hint="list every class once")
    return tuple(by_index[index] for index in range(len(by_index)))


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


def _class_index(text: str, class_names: Sequence[str]) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= _MAX_INDEX_DIGITS:
        return int(text)
    return list(class_names).index(text) if text in class_names else None


def _read_csv(path: Path) -> dict[int, dict[str, str]]:
    """The rows of a CSV: line number -> cell by column name; at least one row, each as long as the header."""
    try:
        reader = csv.reader(read_text(path, "CSV", "first line e.g.: file,index").splitlines())
        table = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"not a CSV file: {error}", where=str(path), hint="first line e.g.: file,index") from None
    if len(table) < 2:
        raise UsageError("the file has no rows below its header", where=str(path), hint="first line e.g.: file,index")
    header = [cell.strip() for cell in table[0][1]]
    for line, row in table[1:]:
        if len(row) < len(header):
            what = f"a row with {len(row)} of {len(header)} columns"
            raise UsageError(what, where=f"{path}, line {line}", hint="complete it")
    return {line: dict(zip(header, row, strict=False)) for line, row in table[1:]}


def _has(rows: dict[int, dict[str, str]], column: str) -> bool:
    return column in next(iter(rows.values()))
