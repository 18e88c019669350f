"""Layers whose weights lie apart -> what the templates print: a macro for each section, and the arrays it stands at."""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.emit.network.steps import array_prefix
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels.sections import Sections, bytes_in_sections


def array_places(plan: Plan, kernels: Mapping[str, Kernel], prefix: str, sections: Sections) -> dict[str, str]:
    """Arrays of constants that lie apart, without the prefix -> the macro that says where."""
    return {
        f"{array_prefix(call.step, way)}_weights": _macro(prefix, sections[call.node])
        for call in plan.calls
        if call.node in sections
        for way in range(len(kernels[call.node].ways))
    }


def section_values(
    plan: Plan, kernels: Mapping[str, Kernel], prefix: str, sections: Sections
) -> list[dict[str, object]]:
    """Each section with its macro and its bytes."""
    sizes = bytes_in_sections(plan, kernels, sections)
    return [{"name": name, "macro": _macro(prefix, name), "bytes": sizes[name]} for name in sorted(sizes)]


def _macro(prefix: str, section: str) -> str:
    return f"{prefix.upper()}_IN_{section.upper()}"
