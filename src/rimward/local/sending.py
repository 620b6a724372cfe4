"""One message as a device would send it, and what came back: over MQTT 5, HTTP/1.1 or a WebSocket."""

import asyncio
import time
from http.client import HTTPConnection, HTTPException

import msgspec
from msgspec import Struct

from rimward.devices.client import Acknowledgement, Client, Inbox, Settings
from rimward.devices.errors import DeviceError
from rimward.local.errors import DevError
from rimward.protocols.mqtt import MqttError

ASK = "is rimward dev running there? rimward status tells"

Address = tuple[str, int]


class Message(Struct, frozen=True):
    """What to publish."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Answer(Struct, frozen=True):
    """One PUBACK, or at QoS 0 that the message left."""

    code: int
    reason: str
    ms: float


class Came(Struct, frozen=True):
    """A message on the topic that was waited for."""

    topic: str
    payload: bytes
    ms: float  # after the first message was sent


class Sent(Struct, frozen=True):
    """All of it; `came` is None where nothing did."""

    answers: list[Answer]
    came: Came | None


class Request(Struct, frozen=True):
    """What to ask for."""

    method: str
    path: str
    payload: bytes | None
    headers: dict[str, str]


class Response(Struct, frozen=True):
    """The answer to a request."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    ms: float


class Heard(Struct, frozen=True):
    """What came back on a WebSocket; nothing where the function returns nothing."""

    body: bytes | None
    text: bool
    ms: float


async def publish(
    address: Address,
    message: Message,
    *,
    count: int,
    wait: str | None,
    timeout: float,  # noqa: ASYNC109 -- of each answer
) -> Sent:
    """Publish a message `count` times, one after another, and wait for one on the topic `wait`.

    Raises:
        DevError: nobody answers there, or the topic is none.
    """
    settings = Settings(host=address[0], port=address[1], timeout=timeout)
    try:
        async with Client(settings) as client:
            inbox = None if wait is None else await client.inbox(wait)
            start = time.perf_counter()
            answers = [await _send(client, message) for _ in range(count)]
            return Sent(answers, None if inbox is None else await _wait(inbox, start, timeout))
    except MqttError as error:
        raise DevError(f"{error}: name a topic as devices publish to, without + and #") from None
    except DeviceError as error:
        raise DevError(f"{error}: {ASK}") from None


def ask(address: Address, request: Request, timeout: float) -> Response:
    """Send a request and return the answer, whatever its status.

    Raises:
        DevError: nobody answers there, or what does is not HTTP.
    """
    headers = {"user-agent": "rimward-send"} | request.headers
    if request.payload is not None and "content-type" not in headers:
        headers["content-type"] = _content_type(request.payload)
    connection = HTTPConnection(*address, timeout=timeout)
    start = time.perf_counter()
    try:
        connection.request(request.method, request.path, request.payload, headers)
        with connection.getresponse() as answer:
            body = answer.read()
            ms = _since(start)
            return Response(answer.status, answer.reason, dict(answer.getheaders()), body, ms)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DevError(f"no answer from {address[0]}:{address[1]} ({reason}): {ASK}") from None
    finally:
        connection.close()


def talk(address: Address, path: str, payload: bytes, subprotocol: str | None, timeout: float) -> Heard:
    """Send a message on a WebSocket and return the first that comes back.

    Raises:
        DevError: nobody answers there, or the path opens no socket.
    """
    from websockets.exceptions import InvalidHandshake, WebSocketException
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    url = f"ws://{address[0]}:{address[1]}{path}"
    binary = subprotocol in {"msgpack", "cbor"} or not _is_text(payload)
    wanted = None if subprotocol is None else [Subprotocol(subprotocol)]
    try:
        with connect(url, subprotocols=wanted, open_timeout=timeout, close_timeout=timeout) as socket:
            start = time.perf_counter()
            socket.send(payload if binary else payload.decode())
            try:
                message = socket.recv(timeout)
            except TimeoutError:
                return Heard(None, text=True, ms=_since(start))
            text = isinstance(message, str)
            return Heard(
                message.encode() if isinstance(message, str) else message, text=text, ms=_since(start)
            )
    except InvalidHandshake as error:
        raise DevError(f"{path} opens no WebSocket: {error}") from None
    except (OSError, WebSocketException) as error:
        reason = getattr(error, "strerror", None) or error
        raise DevError(f"no answer from {address[0]}:{address[1]} ({reason}): {ASK}") from None


async def _send(client: Client, message: Message) -> Answer:
    start = time.perf_counter()
    answer: Acknowledgement = await client.publish(
        message.topic, message.payload, message.qos, retain=message.retain
    )
    return Answer(answer.code, answer.reason, _since(start))


async def _wait(inbox: Inbox, start: float, timeout: float) -> Came | None:  # noqa: ASYNC109 -- bounds one wait
    try:
        async with asyncio.timeout(timeout):
            message = await anext(inbox)
    except TimeoutError:
        return None
    return Came(message.topic, bytes(message.payload), _since(start))


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 3)


def _content_type(payload: bytes) -> str:
    try:
        msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return "text/plain; charset=utf-8" if _is_text(payload) else "application/octet-stream"
    return "application/json"


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
