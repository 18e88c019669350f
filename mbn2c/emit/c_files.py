"""Plan, kernels and names -> all files of a build that a C compiler, make or CMake reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbn2c.emit.network.model import Names, PlannedNetwork, constant_arrays, model_files
from mbn2c.files.bundle import Bundle
from mbn2c.firmware.files import firmware_files, package_files, weight_sections
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels import packed_constants
from mbn2c.targets import Board, Core


def c_files(
    plan: Plan,
    kernels: Mapping[str, Kernel],
    names: Names,
    core: Core,
    board: Board | None,
    beside: Sequence[PlannedNetwork] = (),
) -> Bundle:
    """C of the network, firmware if there is a board, Makefile and CMakeLists.txt.

    beside  networks whose C comes too, and shares the kernels
    """
    bundle = model_files(plan, kernels, names, beside)
    arrays = tuple(constant_arrays(packed_constants(plan, kernels), names))
    return bundle | files_around(bundle, arrays, names.prefix, core, board)


def files_around(network: Bundle, arrays: Sequence[str], prefix: str, core: Core, board: Board | None) -> Bundle:
    """What is compiled beside the C of a network, or says how: firmware if there is a board, Makefile, CMakeLists.txt.

    arrays  names of its constant arrays, without the prefix
    """
    sources = sorted(path for path in network if path.endswith(".c"))
    firmware: dict[str, bytes] = {}
    if board is not None:
        firmware = firmware_files(name=prefix, core=core, board=board, network=network, constants=arrays)
    sections = weight_sections(network)
    packages = package_files(
        name=prefix, core=core, sources=sources, board=board, firmware=firmware or None, sections=sections
    )
    return firmware | packages
