"""Files of `templates/` -> text: templates are filled in, plain files come as they are. The only door to `jinja2`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import jinja2

from mbn2c.resources.folders import templates

SUFFIX = ".j2"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(templates())),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # C is printed as it is; in a page every name is escaped.
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
    )


def render(template: str, values: Mapping[str, object]) -> str:
    """The text of `templates/<template>` with these values; an unknown value raises jinja2.UndefinedError."""
    return _environment().get_template(template).render(values)


def file_text(path: str, values: Mapping[str, object]) -> str:
    """`templates/<path>.j2` with these values if there is such a template, else `templates/<path>` as it is."""
    if (templates() / (path + SUFFIX)).is_file():
        return render(path + SUFFIX, values)
    return plain_text(path)


def plain_text(path: str) -> str:
    """`templates/<path>`, byte for byte (line ends too)."""
    return (templates() / path).read_bytes().decode()
