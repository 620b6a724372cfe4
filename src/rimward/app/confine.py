"""What a function in a process of its own may do beside computing: nothing, but for what is named here."""

import msgspec
from msgspec import Struct

from rimward.app.problems import Problem
from rimward.events import Duration, Size, nbytes, seconds

_CHECKED = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int]


class Confine(Struct, frozen=True):
    """What a function with `run="process"` may reach; `rimward status` says what this machine enforces.

    Args:
        network: it may open connections.
        read: files and folders that it may read, beside the interpreter's, the system's libraries and the
            app's own folder. The node's data is never among them.
        write: files and folders that it may change.
        environment: names of variables of the node's environment that it may see.
        memory: what it may take.
        cpu: the CPU time of one call; None leaves that to the function's limit.
        processes: how many it may start.
    """

    network: bool = False
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    memory: Size = "512MiB"
    cpu: Duration | None = None
    processes: int = 0

    @property
    def memory_bytes(self) -> int:
        """Its memory in bytes."""
        return nbytes(self.memory)

    @property
    def cpu_seconds(self) -> float | None:
        """Its CPU time in seconds."""
        return None if self.cpu is None else seconds(self.cpu)


def check_confine(confine: object, run: str) -> None:
    """Refuse a confinement that is none, or that nothing would enforce.

    Raises:
        Problem: it is one of these.
    """
    if confine is None:
        return
    if not isinstance(confine, Confine):
        raise Problem(f"edge: confine is {confine!r}", "write confine=Confine(network=True)")
    try:
        msgspec.convert((confine.read, confine.write, confine.environment, confine.processes), _CHECKED)
        _ = (confine.memory_bytes, confine.cpu_seconds)
    except (msgspec.ValidationError, ValueError) as error:
        raise Problem(f"edge: confine: {error}", 'write confine=Confine(memory="256MiB")') from None
    if confine.processes < 0:
        raise Problem(f"edge: confine: processes is {confine.processes}", "write a number from 0 on")
    if run in {"auto", "inline"}:
        raise Problem(
            f'edge: confine= is enforced in a process of its own, and run="{run}" runs on the loop',
            'write run="process"',
        )
