"""`python -m rimward.edge.deep CONFIG --ready R`: the node's deep process."""

import argparse
import asyncio
import sys
from pathlib import Path

from rimward.edge.deep.config import read
from rimward.edge.deep.process import DeepProcess
from rimward.observe import configure
from rimward.observe.stopping import until_stopped


def main(arguments: list[str]) -> int:
    """Run the deep process that the configuration describes."""
    parser = argparse.ArgumentParser(prog="python -m rimward.edge.deep")
    parser.add_argument("config", type=Path)
    parser.add_argument("--ready", type=int)
    options = parser.parse_args(arguments)
    configure("deep")
    asyncio.run(until_stopped(DeepProcess(read(options.config)).run(), options.ready))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
