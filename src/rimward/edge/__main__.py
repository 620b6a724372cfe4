"""`python -m rimward.edge CONFIG --fd mqtt=N --fd http=N --ready R`: the node's I/O process."""

import gc
import sys


def main(arguments: list[str]) -> int:
    """Run the node that the configuration describes."""
    gc.disable()  # what is imported stays: looking through it again and again is a tenth of a start
    from rimward.edge import process

    return process.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
