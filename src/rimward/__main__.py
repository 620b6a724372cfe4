"""`python -m rimward`: the command line."""

import sys

from rimward.cli import main

if __name__ == "__main__":
    sys.exit(main())
