"""A worker confines itself, before it runs anything of the user's and for good.

What the kernel does not have is left out and told: `probe` finds out at start, `rimward status` shows it.
"""

import os
import resource
import site
import socket
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from rimward.edge.functions import landlock, seccomp, syscalls
from rimward.wire.functions import Confined, Enforced

NICE = 5  # workers give way to the process that serves the devices
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ssl", "/etc/localtime", "/etc/timezone", "/etc/hosts",
    "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
    "/etc/mime.types", "/etc/os-release", "/etc/ld.so.cache", "/proc/cpuinfo", "/proc/meminfo", "/proc/self",
    "/sys/devices/system/cpu",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_CAPABILITIES = 0x2008_0522  # version 3 of its structures
_NEW_USER, _NEW_NET = 0x1000_0000, 0x4000_0000
_ROOM = (
    256 << 20
)  # bytes of address space beside what it may make its own, for what is mapped and never touched
_SPARE = 2  # seconds of CPU time beside those of a call: the kernel counts whole ones


class Ground(NamedTuple):
    """What every worker of an app may read, and what of that it may not."""

    paths: tuple[str, ...]
    hidden: tuple[str, ...] = ()


def ground_of(app: str, hidden: tuple[str, ...] = ()) -> Ground:
    """Return what an app's code and its interpreter read; `app` is a file, or a module's name.

    What begins with a dot in the app's folder, and in the one where the node was started, is hidden, such as
    `.env` or, where that is somebody's home, `.ssh`.
    """
    file = app.partition(":")[0]
    own = os.path.realpath(os.path.dirname(file) if file.endswith(".py") else "")  # noqa: PTH120 (text, as the rest)
    found = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *site.getsitepackages(), *_SYSTEM]
    places = dict.fromkeys(os.path.realpath(path) for path in (*found, *filter(None, sys.path), own))
    places.pop("/", None)  # a service's working folder: that would be everything
    dotted: list[str] = []
    for folder in {own, os.path.realpath("")}:
        with suppress(OSError):
            names = os.listdir(folder)  # noqa: PTH208 (text, as the rest)
            dotted += [os.path.join(folder, name) for name in names if name.startswith(".")]  # noqa: PTH118 (as above)
    needed = (os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix))
    dotted = [one for one in dotted if not any(path.startswith(one) for path in needed)]
    return Ground(tuple(places), (*dotted, *map(os.path.realpath, hidden)))


def confine(confined: Confined, ground: Ground) -> dict[str, str]:
    """Confine this process, which has one thread; return what could not be, by mechanism, and why."""
    return Confining(ground).finish(confined)


class Confining:
    """The confinement of this process: begun when it is made, finished when it is known for what.

    What is begun is most of the work, and does not bind it yet.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.missing: dict[str, str] = {}  # what could not be done, by mechanism, and why
        with suppress(OSError):
            os.nice(NICE)
        self._filtered = _try(self.missing, "seccomp", _prepare_filter)
        if self._filtered:  # else it may have to leave the network, which takes a capability
            _try(self.missing, "capabilities", _drop_capabilities)
        self._rules: landlock.Rules | None = None
        _try(self.missing, "landlock", lambda: self._allow(ground.hidden))

    def _allow(self, hidden: tuple[str, ...]) -> landlock.Rules:
        rules = self._rules = landlock.Rules(hidden)
        rules.allow(self._ground.paths)
        rules.allow(_DEVICES, write=True)
        return rules

    def finish(self, confined: Confined) -> dict[str, str]:
        """Confine it for good; return what could not be, by mechanism, and why."""
        missing = self.missing
        _limit(confined)
        if not confined.network and not self._filtered:
            _try(missing, "network namespace", _leave_network)
        if not self._filtered:
            _try(missing, "capabilities", _drop_capabilities)
        if self._rules is not None:
            _try(missing, "landlock", lambda: self._enforce(confined))
        if self._filtered:
            _try(missing, "seccomp", lambda: _filter(confined))
        return missing

    def _enforce(self, confined: Confined) -> None:
        rules, execute = self._rules, confined.processes > 0
        assert rules is not None
        hidden = tuple(os.path.realpath(path) for path in confined.hidden)
        if not set(hidden) <= set(rules.hidden):
            rules.close()
            rules = self._allow((*rules.hidden, *hidden))
        if execute:
            rules.allow((*self._ground.paths, *_DEVICES), execute=True)
        rules.allow(confined.read, execute=execute)
        rules.allow(confined.write, write=True, execute=execute)
        rules.enforce()


def _try(missing: dict[str, str], name: str, action: Callable[[], object]) -> bool:
    try:
        action()
    except (OSError, ValueError) as error:
        missing[name] = str(error)
        return False
    return True


def _limit(confined: Confined) -> None:
    """Bound what it may take: memory of its own, and no core files."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 (once a worker, in its first millisecond)
        mapped, *_, own, _ = (int(word) * resource.getpagesize() for word in file.read().split())
    with suppress(OSError, ValueError):  # a lower limit is set already
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = own + confined.memory
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        most = mapped + 2 * confined.memory + confined.mapped + _ROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def allow_cpu(seconds: float, used: float) -> None:
    """Let this process burn so many more seconds of CPU time than it has."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + _SPARE, hard))


def _prepare_filter() -> None:
    """Find out whether `_filter` will do, and make the usual filter."""
    seccomp.compiled(os.getpid(), False, False)
    with open("/proc/self/status") as file:  # noqa: PTH123 (once a worker)
        if "\nSeccomp:" not in file.read():
            raise OSError(38, "the kernel has no seccomp")


def _filter(confined: Confined) -> None:
    seccomp.apply(pid=os.getpid(), network=confined.network, processes=confined.processes > 0)


def _leave_network() -> None:
    """Go into a network namespace of its own, in which there is nothing."""
    if os.geteuid() == 0:
        syscalls.call("unshare", _NEW_NET)
    else:
        syscalls.call("unshare", _NEW_USER | _NEW_NET)


def _drop_capabilities() -> None:
    """Give up what root may do beside owning files."""
    import ctypes

    head = ctypes.create_string_buffer(struct.pack("=II", _CAPABILITIES, 0))
    none = ctypes.create_string_buffer(bytes(24))
    syscalls.call("capset", ctypes.c_void_p(ctypes.addressof(head)), ctypes.c_void_p(ctypes.addressof(none)))


# -- what this machine enforces


def probe(ground: Ground) -> Enforced:
    """Confine a process of its own in the usual way, try what must fail, and tell what did not.

    Raises:
        OSError: no process is to be had.
    """
    import msgspec

    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = Enforced(**dict.fromkeys(("files", "network", "processes", "signals"), "the trial failed"))
        with suppress(Exception):
            os.close(reading)
            found = _tried(ground)
        os.write(writing, msgspec.msgpack.encode(found))
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 (a descriptor)
        said = pipe.read()
    os.waitpid(pid, 0)
    return msgspec.msgpack.decode(said, type=Enforced)


def _tried(ground: Ground) -> Enforced:
    parent, where = os.getppid(), tempfile.gettempdir()
    missing = confine(Confined(), ground)

    def open_file() -> None:
        descriptor = os.open(where, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.close(descriptor)

    def send() -> None:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))

    def start() -> None:
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)

    why = {name: f"{name}: {reason}" for name, reason in missing.items()}
    by = [f"landlock {landlock.version()}", "seccomp", "network namespace", "capabilities"]
    return Enforced(
        files="" if _refused(open_file) else why.get("landlock", "files can be written"),
        network="" if _refused(send) else why.get("network namespace", "sockets can be opened"),
        processes="" if _refused(start) else why.get("seccomp", "processes can be started"),
        signals="" if _refused(lambda: os.kill(parent, 0)) else why.get("seccomp", "others can be signalled"),
        memory="" if resource.getrlimit(resource.RLIMIT_DATA)[0] > 0 else "limits can't be set",
        by=tuple(
            one for one in by if one.rpartition(" ")[0 if one.startswith("landlock") else 2] not in missing
        ),
    )


def _refused(action: Callable[[], None]) -> bool:
    try:
        action()
    except OSError:
        return True
    return False
