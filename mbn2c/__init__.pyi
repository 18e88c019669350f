from mbn2c.commands.api import build as build
from mbn2c.commands.api import explore as explore
from mbn2c.commands.api import inspect as inspect
from mbn2c.commands.api import load as load
from mbn2c.commands.api import verify as verify

__version__: str
