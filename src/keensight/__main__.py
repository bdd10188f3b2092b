"""``python -m keensight`` is the same as ``keensight``."""

import sys

from keensight.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
