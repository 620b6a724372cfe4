"""`python -m benchmarks [NAME [--json] ...]`: runs a benchmark, or lists them."""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the benchmarks: the folders beside this file that can be run."""
    return sorted(folder.parent.name for folder in HERE.glob("*/__main__.py"))


def main(arguments: list[str]) -> int:
    """Run the benchmark named first with the arguments after it."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        for name in names():
            first, *_ = (import_module(f"benchmarks.{name}").__doc__ or "").splitlines()
            print(f"{name:10} {first}")
        return 0
    name, *rest = arguments
    if name not in names():
        print(f"bench: no benchmark {name!r}, there is {', '.join(names())}", file=sys.stderr)
        return 2
    return import_module(f"benchmarks.{name}.__main__").main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
