"""Commands to devices: sent at once, to one device alone, and acknowledged by it.

A command goes out on `devices/{id}/commands/{name}`. An MQTT 5 device answers on the response topic
`devices/{id}/replies/{name}` with the correlation data; an MQTT 3.1.1 device finds a number behind the name
and answers on `devices/{id}/replies/{name}/{number}`. `{id}` is the client id: one with `/`, `+` or `#` takes
no commands. Over CoAP a command is a POST to `commands/{name}`, and the response to it the acknowledgement.
Only the device itself can answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import msgspec

from rimward.app.device import Device
from rimward.app.effects import encode_payload
from rimward.edge.dispatch.encodings import decoder_of, encoding_of
from rimward.edge.dispatch.types import Message
from rimward.events import CommandTimeout, NotConnected, RimwardError

ROOT = "devices"
MAX_PENDING = 10_000  # commands that wait for their acknowledgement


def topics_of(device: str, name: str) -> tuple[str, str]:
    """Return the topics of a device's command and of its acknowledgement."""
    return f"{ROOT}/{device}/commands/{name}", f"{ROOT}/{device}/replies/{name}"


@runtime_checkable
class CommandRouter(Protocol):
    """How a command reaches one device; the gateways of MQTT and CoAP implement it."""

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Queue a command for one device; return why it can't take it, None where it can. Never blocks."""
        ...


@runtime_checkable
class ReachingRouter(CommandRouter, Protocol):
    """One that can tell beforehand."""

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        ...


class Waiter(Protocol):
    """Who waits for an acknowledgement; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """Whether it has come, or will not."""
        ...

    def set_result(self, result: Message, /) -> None:
        """Take the acknowledgement."""
        ...

    def set_exception(self, exception: RimwardError, /) -> None:
        """Learn that there will be none."""
        ...


class Commands:
    """Every command that waits for its device: a `CommandPort`."""

    def __init__(self, router: Callable[[], object], prefix: str, counters: dict[str, int]) -> None:
        """`prefix` is new at every start, so that no answer to an earlier process's command fits."""
        self.routers: dict[str, CommandRouter] = {}  # of protocols that are not the router's, by name
        self._router = router
        self._prefix = prefix
        self._counters = counters
        self._count = 0
        self._pending: dict[str, tuple[str, Waiter]] = {}

    async def command(self, device: Device, name: str, payload: Any, *, allowed: float, reply: Any) -> Any:
        """Send a command and return the decoded acknowledgement; `allowed` in seconds.

        Raises:
            CommandTimeout: it did not come in time.
            NotConnected: the device can't take it.
            ValueError: it is not of the type `reply`.
        """
        body = b"" if payload is None else encode_payload(payload)
        message = await self.acknowledged(device, name, body, allowed=allowed)
        return None if reply is None else _decoded(message, reply, name)

    async def acknowledged(self, device: Device, name: str, payload: bytes, *, allowed: float) -> Message:
        """Send a command and return its acknowledgement; `allowed` in seconds.

        Raises:
            CommandTimeout: it did not come in time.
            NotConnected: the device can't take it.
        """
        if len(self._pending) >= MAX_PENDING:
            raise NotConnected(f"{MAX_PENDING} commands wait for their devices, the limit")
        self._count += 1
        number = f"{self._prefix}{self._count:x}"
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[number] = (device.id, answer)
        try:
            self._send(device, name, payload, number)
            async with asyncio.timeout(allowed):
                return await answer
        except TimeoutError:
            self._add("commands_timed_out")
            raise CommandTimeout(
                f"{device.id} did not acknowledge the command {name!r} within {allowed:g} s"
            ) from None
        finally:
            del self._pending[number]

    def _send(self, device: Device, name: str, payload: bytes, number: str) -> None:
        own, why = device.protocol.startswith("mqtt"), f"{device.protocol} devices take no commands"
        router: object = self._router() if own else self.routers.get(device.protocol)
        if isinstance(router, CommandRouter):
            why = router.command(device.id, name, payload, number)
        if why is not None:
            self._add("commands_refused")
            raise NotConnected(f"{device.id}: {why}")
        self._add("commands")

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        whys = [router.reaches(device, name) for router in self._reaching()]
        return None if None in whys else next(iter(whys), "no gateway takes commands to devices")

    def begin(self, device: str, name: str, payload: bytes, waiter: Waiter) -> str:
        """Send a command by whichever gateway reaches the device, and return its number; `end` it.

        Raises:
            NotConnected: no gateway reaches it, or too many wait; nothing was sent.
        """
        if len(self._pending) >= MAX_PENDING:
            raise NotConnected(f"{MAX_PENDING} commands wait for their devices, the limit")
        self._count += 1
        number = f"{self._prefix}{self._count:x}"
        self._pending[number] = (device, waiter)
        why: str | None = "no gateway reaches it"
        for router in self._reaching():
            if router.reaches(device, name) is None:
                why = router.command(device, name, payload, number)
                break
        if why is not None:
            del self._pending[number]
            self._add("commands_refused")
            raise NotConnected(f"{device}: {why}")
        self._add("commands")
        return number

    def end(self, number: str) -> None:
        """Wait no longer for a command's acknowledgement."""
        self._pending.pop(number, None)

    def _reaching(self) -> list[ReachingRouter]:
        routers = (self._router(), *self.routers.values())
        return [router for router in routers if isinstance(router, ReachingRouter)]

    def answered(self, message: Message) -> bool:
        """Take a message on a topic of acknowledgements; return whether it was one that is waited for."""
        number = _number(message)
        waiting = self._pending.get(number) if number is not None else None
        if waiting is None or waiting[0] != message.sender.id or waiting[1].done():
            self._add("replies_unasked")
            return False
        waiting[1].set_result(message)
        return True

    def failed(self, number: str, error: RimwardError) -> None:
        """End a command whose acknowledgement will not come."""
        waiting = self._pending.get(number)
        if waiting is not None and not waiting[1].done():
            self._add("commands_failed")
            waiting[1].set_exception(error)

    def _add(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1


def is_answer(segments: list[str]) -> bool:
    """Tell whether a topic is one of acknowledgements."""
    return len(segments) in {4, 5} and segments[0] == ROOT and segments[2] == "replies"


def _number(message: Message) -> str | None:
    if message.correlation is not None:
        return message.correlation.decode("ascii", "replace")
    segments = message.topic.split("/")
    return segments[4] if len(segments) == 5 else None


def _decoded(message: Message, type_: Any, name: str) -> Any:
    if type_ is bytes:
        return message.payload
    try:
        if type_ is str:
            return message.payload.decode()
        encoding = encoding_of(message.content_type)
        if encoding is None:
            raise ValueError(f"its content type {message.content_type!r} can't be read")  # noqa: TRY301 (one way out)
        return decoder_of(type_, encoding)(message.payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"the acknowledgement of {name!r} does not fit: {error}") from None
