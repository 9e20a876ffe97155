"""`python -m ghostpad` is the same as `ghostpad`."""

import sys

from ghostpad.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
