"""Templates -> text. The only door to the `jinja2` package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import jinja2

from mbn2c.resources.folders import templates


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
