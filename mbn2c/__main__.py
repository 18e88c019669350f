"""`python -m mbn2c`."""

import sys

from mbn2c.cli import main

sys.exit(main())
