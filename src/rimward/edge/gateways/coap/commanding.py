"""Commands to devices over CoAP: a confirmable POST to `commands/{name}`, acknowledged by its response.

It goes where the device was last heard from, by OSCORE where it came by OSCORE, in one datagram.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from rimward.edge.dispatch.commands import topics_of
from rimward.edge.dispatch.types import Message as Answer
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.coap.callers import Callers
from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.coap.formats import MEDIA
from rimward.edge.gateways.coap.incoming import Incoming
from rimward.edge.gateways.coap.trust import Trust
from rimward.events import CommandTimeout, NotConnected, RimwardError
from rimward.protocols.coap import CoapError, Endpoint, Message, dotted, name_of, request, uint
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.oscore import Asking, open_response, protect_request

ROOT = "commands"
KNOWN = 16_384  # devices whose last place is remembered; the one heard longest ago is forgotten
LARGEST = 1024  # bytes of a command's payload
_HEAD = 64  # bytes of a command that are not its payload, at most, without its name


class Acknowledged(Protocol):
    """Who waits for acknowledgements; dispatch's `Commands` is one."""

    def answered(self, message: Answer) -> bool:
        """Take an acknowledgement."""
        ...

    def failed(self, number: str, error: RimwardError) -> None:
        """Learn that there will be none."""
        ...


class Question(Struct, eq=False):
    """One command on its way."""

    number: str
    device: str
    name: str
    incoming: Incoming  # the request by which the device was last heard
    payload: bytes
    endpoint: Endpoint
    asking: Asking | None = None  # what opens the response
    echo: bytes | None = None  # what the device wants to see again [RFC 9175 §2]


class Commanding:
    """Where devices were last heard, and the commands that wait for them."""

    def __init__(
        self, config: CoapConfig, callers: Callable[[], Callers], trust: Trust, clock: Callable[[], int]
    ) -> None:
        """`clock` is monotonic ns."""
        self.counters: dict[str, int] = dict.fromkeys(("commands_sent", "commands_refused"), 0)
        self.replies: Acknowledged | None = None  # set by the node
        self.sent: Callable[[], None] = _nothing  # called when there is something to send
        self._callers = callers
        self._trust = trust
        self._clock = clock
        self._within = round(config.commanded_within * 1e9)
        self._heard: OrderedDict[str, tuple[Incoming, int]] = OrderedDict()

    def heard(self, incoming: Incoming, device: str) -> None:
        """Note where a device is; a forged address is no place for one that has keys."""
        known = self._heard.pop(device, None)
        if known is not None and known[0].secured is not None and incoming.secured is None:
            self._heard[device] = known
            return
        if len(self._heard) >= KNOWN:
            self._heard.popitem(last=False)
        self._heard[device] = incoming, incoming.now

    def command(self, endpoint: Endpoint, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Send a command; return why it can't be. Never blocks."""
        why = self._command(endpoint, device, name, payload, number)
        self.counters["commands_sent" if why is None else "commands_refused"] += 1
        self.sent()
        return why

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        known, now = self._heard.get(device), self._clock()
        if known is None or now - known[1] > self._within:
            return "nothing was heard from it for a while"
        return self._problem(known[0], name, b"", now)

    def _command(self, endpoint: Endpoint, device: str, name: str, payload: bytes, number: str) -> str | None:
        known, now = self._heard.get(device), self._clock()
        if known is None or now - known[1] > self._within:
            return "nothing was heard from it for a while"
        incoming = known[0]
        if (why := self._problem(incoming, name, payload, now)) is not None:
            return why
        return self._ask(Question(number, device, name, incoming, payload, endpoint))

    def _problem(self, incoming: Incoming, name: str, payload: bytes, now: int) -> str | None:
        if incoming.way.reliable:
            return "it is connected by TCP, and commands go by UDP"
        if len(payload) > LARGEST or len(name.encode()) > 255:
            return f"a command by CoAP has {LARGEST} bytes, and its name 255, at most"
        if not self._trust.knows(incoming.key, incoming.peer, now):
            room = self._trust.room(incoming.size)
            if len(payload) + len(name.encode()) + _HEAD > room:
                return f"its address is not known to be its own, so a command to it has {room} bytes at most"
        try:
            self._callers().of(incoming)
        except CoapError as error:
            return error.detail
        return None

    def _ask(self, question: Question) -> str | None:
        incoming = question.incoming
        message = request(c.POST, "", question.payload)
        message.options = [(opt.URI_PATH, ROOT.encode()), (opt.URI_PATH, question.name.encode())]
        if question.echo is not None:
            message.options.append((opt.ECHO, question.echo))
        message.token = os.urandom(8)  # nobody else is to guess it
        if (secured := incoming.secured) is not None:
            sequence = secured.numbers.take()
            if sequence is None:
                return "the disk has not allowed a sequence number for it yet"
            message, question.asking = protect_request(secured.context, message, sequence)
        if not question.endpoint.ask(incoming.key, message, self._clock(), question):
            return "too much waits for it already"
        return None

    # -- what becomes of them

    def answered(self, question: Question, message: Message) -> None:
        """Take the response to a command."""
        secured = question.incoming.secured
        if secured is not None and question.asking is not None:
            try:
                message = open_response(secured.context, message, question.asking)
            except CoapError as error:
                self._failed(question, NotConnected(f"{question.device}: {error.detail}"))
                return
        echo = message.get(opt.ECHO)
        if message.code == c.UNAUTHORIZED and echo is not None and question.echo is None:
            question.echo = echo
            if (why := self._ask(question)) is not None:
                self._failed(question, NotConnected(f"{question.device}: {why}"))
            self.sent()
            return
        if message.code >= c.BAD_REQUEST:
            said = f"it answered {dotted(message.code)} {name_of(message.code)}"
            self._failed(question, NotConnected(f"{question.device}: {said}"))
            return
        number = message.get(opt.CONTENT_FORMAT)
        content = None if number is None else MEDIA.get(uint(number), f"coap/{uint(number)}")
        _, topic = topics_of(question.device, question.name)
        answer = Answer(topic, message.payload, 0, Sender(question.device, "coap"), self._clock(), content)
        answer.correlation = question.number.encode()
        if self.replies is not None:
            self.replies.answered(answer)

    def settled(self, question: Question, fate: str) -> None:
        """Learn what became of a command's datagram."""
        if fate == "acknowledged":
            self._trust.verify(question.incoming.key, self._clock())
        elif fate == "reset":
            self._failed(question, NotConnected(f"{question.device}: it reset the command"))
        else:
            text = (
                f"{question.device} did not acknowledge the command {question.name!r}, sent again and again"
            )
            self._failed(question, CommandTimeout(text))

    def _failed(self, question: Question, error: RimwardError) -> None:
        if self.replies is not None:
            self.replies.failed(question.number, error)


def _nothing(*_: Any) -> None:
    """Nothing is to be sent."""
