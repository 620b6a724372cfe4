"""The device behind a message, and commands to it."""

from typing import Any, Protocol, TypeVar, overload

from rimward.events import Duration, seconds

T = TypeVar("T")


class CommandPort(Protocol):
    """How commands reach a device; the node implements it."""

    async def command(self, device: "Device", name: str, payload: Any, *, allowed: float, reply: Any) -> Any:
        """Send a command and return the decoded acknowledgement; `allowed` in seconds."""
        ...


class Device:
    """The authenticated sender of the message that a function runs for."""

    __slots__ = ("_port", "id", "protocol", "user")

    def __init__(self, id: str, user: str | None, protocol: str, port: CommandPort) -> None:  # noqa: A002 (the contract's name)
        self.id: str = id  # MQTT client id; for HTTP and CoAP the peer's address
        self.user: str | None = user
        self.protocol: str = protocol  # "mqtt3", "mqtt5", "http", "ws" or "coap"
        self._port = port

    @overload
    async def command(self, name: str, payload: Any = None, *, timeout: Duration) -> None: ...  # noqa: ASYNC109 (the contract's name)
    @overload
    async def command(
        self,
        name: str,
        payload: Any = None,
        *,
        timeout: Duration,  # noqa: ASYNC109 (the contract's name)
        reply: type[T],
    ) -> T: ...
    async def command(
        self,
        name: str,
        payload: Any = None,
        *,
        timeout: Duration,  # noqa: ASYNC109 (the contract's name)
        reply: type[T] | None = None,
    ) -> T | None:
        """Send the device a command and wait for its acknowledgement.

        **It leaves at once** and can't be taken back, also when the call raises afterwards. It goes to this
        device alone, on `devices/{id}/commands/{name}`: MQTT 5 with a response topic and correlation data,
        MQTT 3.1.1 with a number behind the name, which the device repeats on
        `devices/{id}/replies/{name}/{number}`. A CoAP device gets a confirmable POST to `commands/{name}`.

        Args:
            name: one topic segment.
            payload: as for `app.publish`; None is empty.
            timeout: how long the device has.
            reply: the acknowledgement's type; without it any acknowledgement will do.

        Raises:
            CommandTimeout: the device did not acknowledge in time; it may have carried the command out.
            NotConnected: the device is not connected, does not listen to its commands, or refuses this one.
            ValueError: the name is none, or the acknowledgement is not of the type.
        """
        if not name or any(character in name for character in "/+#\0"):
            raise ValueError(f"device.command: name {name!r} is empty or has one of / + # NUL")
        return await self._port.command(self, name, payload, allowed=seconds(timeout), reply=reply)
