"""`python -m rimward_supervisor SPEC.json`: `spec` explains the file, `supervisor` what is done with it."""

import json
import os
import sys
from contextlib import suppress

from rimward_supervisor.events import tell
from rimward_supervisor.listeners import ListenError
from rimward_supervisor.spawn import close_on_exec
from rimward_supervisor.spec import SpecError, parse
from rimward_supervisor.supervisor import Supervisor


def main(arguments: list[str]) -> int:
    """Run the spec named by the only argument; exit code 1 when nothing could be started."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m rimward_supervisor SPEC.json\n")
        return 2
    os.umask(0o077)  # what devices and databases say is for the owner alone, in all that is started too
    close_on_exec()
    try:
        with open(arguments[0]) as file:  # noqa: PTH123 -- pathlib would be a tenth of this process's memory
            spec = parse(json.load(file))
        with suppress(OSError):  # it is told for each process that has no log
            os.makedirs(spec.logs, mode=0o700, exist_ok=True)  # noqa: PTH103 -- as above
        return Supervisor(spec).run()
    except ListenError as error:
        tell(
            "failed",
            what="listen",
            name=error.name,
            port=error.port,
            address=error.address,
            reason=error.reason,
        )
    except (SpecError, ValueError, OSError) as error:
        tell("failed", what="start", reason=str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
