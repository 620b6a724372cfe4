"""What to run: one JSON file, checked whole before anything starts.

    {"logs": DIR, "state": FILE, "faults": FILE,
     "listeners": {"mqtt": ["127.0.0.1", 1883], "coap": {"udp": ["127.0.0.1", 5683]},
                   "coap-tcp": {"tcp": ["127.0.0.1", 0], "beside": "coap"},
                   "local": {"unix": PATH, "mode": 384}},
     "processes": [{"name": "node", "argv": ["serve", "--fd", "mqtt={fd:mqtt}", "--ready", "{ready}"]}]}

In `argv`, `{fd:NAME}` is the descriptor of a listener, `{port:NAME}` its port (a Unix socket has none),
and `{ready}` the descriptor on which the process writes one JSON line when it serves. A process whose calls
are watched has `"watch": {"slot": FILE, "deaths": FILE, "stack": FILE}`: `watch` says what those are.
"""

import re
from typing import Any, NamedTuple

from rimward_supervisor.listeners import TCP, UDP, UNIX, Address
from rimward_supervisor.watch import WatchSpec

_TEMPLATE = re.compile(r"\{(ready|fd:([\w-]+)|port:([\w-]+))\}")
_NAME = re.compile(r"[\w-]+")


class SpecError(Exception):
    """The file does not say what to run; the message names the key."""


class ProcessSpec(NamedTuple):
    """One process. Durations are seconds."""

    name: str
    argv: list[str]
    connect: tuple[str, int] | None = None  # ready when this address takes a connection
    grace: float = 5.0  # from SIGTERM to SIGKILL
    once: bool = False  # not started again when it ends
    waits: bool = False  # started by the command "restart NAME" only
    env: dict[str, str] | None = None  # beside what the supervisor inherits
    keeps: list[str] | None = None  # names of what it inherits of the environment; None: all of it
    watch: WatchSpec | None = None  # where it says which call it runs
    background: bool = False  # it runs on what the others leave of the CPUs

    @property
    def tells(self) -> bool:
        """Whether it writes a line when it is ready."""
        return any("{ready}" in part for part in self.argv)

    @property
    def listens_on(self) -> set[str]:
        """The listeners that it is given."""
        found = (match.group(2) for part in self.argv for match in _TEMPLATE.finditer(part))
        return {name for name in found if name}

    def command(self, fds: dict[str, int], ports: dict[str, int], ready: int | None) -> list[str]:
        """Return its arguments with every template filled."""

        def fill(match: re.Match[str]) -> str:
            if match.group(2):
                return str(fds[match.group(2)])
            return str(ports[match.group(3)] if match.group(3) else ready)

        return [_TEMPLATE.sub(fill, part) for part in self.argv]


class Spec(NamedTuple):
    """All of it. Processes are started in this order and stopped in reverse."""

    logs: str  # folder
    state: str  # file that always has the current pids
    listeners: dict[str, Address]
    processes: list[ProcessSpec]
    log_bytes: int = 8 << 20  # a log is rotated beyond this; one older file is kept
    faults: str = ""  # file that says who is to stand still, and until when; empty: nobody ever


def parse(data: Any) -> Spec:
    """Check a decoded spec.

    Raises:
        SpecError: a key is missing, unknown, or of the wrong type.
    """
    fields = _fields(data, "spec", Spec)
    listeners = {
        name: _listener(value, f"listeners.{name}")
        for name, value in _dict(fields.get("listeners", {}), "listeners").items()
    }
    _check_beside(listeners)
    processes = [
        _process(item, f"processes[{index}]", listeners)
        for index, item in enumerate(_list(fields.get("processes"), "processes"))
    ]
    names = [process.name for process in processes]
    if len(set(names)) != len(names):
        raise SpecError(f"processes: a name is used twice in {', '.join(names)}")
    fields |= {"listeners": listeners, "processes": processes}
    for key in ("logs", "state"):
        if not isinstance(fields.get(key), str):
            raise SpecError(f"{key}: a path is needed")
    return Spec(**fields)


def _process(data: Any, where: str, listeners: dict[str, Address]) -> ProcessSpec:
    fields = _fields(data, where, ProcessSpec)
    name, argv = fields.get("name"), _list(fields.get("argv"), f"{where}.argv")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SpecError(f"{where}.name: letters, digits, _ and - are needed, not {name!r}")
    if not argv or not all(isinstance(part, str) for part in argv):
        raise SpecError(f"{where}.argv: a list of at least one text is needed")
    if fields.get("connect") is not None:
        fields["connect"] = _address(fields["connect"], f"{where}.connect")
    if fields.get("keeps") is not None and not all(
        isinstance(one, str) for one in _list(fields["keeps"], f"{where}.keeps")
    ):
        raise SpecError(f"{where}.keeps: names of variables are needed")
    if fields.get("watch") is not None:
        fields["watch"] = _watch(fields["watch"], f"{where}.watch")
    for part in argv:
        for match in _TEMPLATE.finditer(part):
            wanted = match.group(2) or match.group(3)
            if wanted and wanted not in listeners:
                raise SpecError(f"{where}.argv: there is no listener {wanted!r}")
            if match.group(3) and listeners[wanted].kind == UNIX:
                raise SpecError(f"{where}.argv: {wanted!r} is a Unix socket, which has no port")
    return ProcessSpec(**fields)


def _watch(data: Any, where: str) -> WatchSpec:
    fields = _fields(data, where, WatchSpec)
    for key in WatchSpec._fields:
        if not isinstance(fields.get(key), str):
            raise SpecError(f"{where}.{key}: a path is needed")
    return WatchSpec(**fields)


def _fields(data: Any, where: str, kind: Any) -> dict[str, Any]:
    fields = dict(_dict(data, where))
    unknown = set(fields) - set(kind._fields)
    if unknown:
        raise SpecError(f"{where}: unknown key {min(unknown)!r}")
    return fields


def _check_beside(listeners: dict[str, Address]) -> None:
    earlier: set[str] = set()
    for name, address in listeners.items():
        if address.beside and address.beside not in earlier:
            raise SpecError(f"listeners.{name}.beside: {address.beside!r} is no earlier listener with a port")
        if address.kind != UNIX and not address.beside:
            earlier.add(name)


def _listener(data: Any, where: str) -> Address:
    match data:
        case {"udp": address, **rest} if not rest:
            return Address(UDP, *_address(address, f"{where}.udp"))
        case {"tcp": address, "beside": str(name), **rest} if not rest and name:
            return Address(TCP, *_address(address, f"{where}.tcp"), beside=name)
        case {"unix": str(path), "mode": int(mode), **rest} if not rest and path and 0 <= mode <= 0o777:
            return Address(UNIX, path=path, mode=mode)
        case {"unix": str(path), **rest} if not rest and path:
            return Address(UNIX, path=path)
        case dict():
            kinds = '{"udp": [host, port]}, {"tcp": [host, port], "beside": name} or {"unix": path}'
            raise SpecError(f"{where}: {kinds} is needed, not {data!r}")
        case _:
            return Address(TCP, *_address(data, where))


def _address(data: Any, where: str) -> tuple[str, int]:
    match data:
        case [str(host), int(port)]:
            return host, port
        case _:
            raise SpecError(f"{where}: [host, port] is needed, not {data!r}")


def _dict(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise SpecError(f"{where}: an object is needed, not {data!r}")
    return data  # pyright: ignore[reportUnknownVariableType] -- JSON: keys are text, values are checked by the caller


def _list(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise SpecError(f"{where}: a list is needed, not {data!r}")
    return data  # pyright: ignore[reportUnknownVariableType] -- JSON: items are checked by the caller
