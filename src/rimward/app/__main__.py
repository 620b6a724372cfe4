"""`python -m rimward.app APP`: print the app's manifest, or its mistake, as JSON.

Run as a process of its own, so that a file that hangs or ends the interpreter hurts nobody.
"""

import sys

import msgspec

from rimward.app.loading import load_manifest
from rimward.app.manifest import encode
from rimward.events import LoadError


def main() -> int:
    """Print the manifest of the app named by the first argument."""
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # what the file prints is not the manifest
    try:
        out.write(encode(load_manifest(sys.argv[1])) + b"\n")
    except LoadError as error:
        mistake = {"file": error.file, "line": error.line, "message": error.message, "cure": error.cure}
        out.write(msgspec.json.encode(mistake) + b"\n")
        return 1
    finally:
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
