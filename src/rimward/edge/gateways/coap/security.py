"""Requests by OSCORE opened, and what goes back protected [RFC 8613 §8].

Which numbers of a device have come is forgotten when the process ends: the first request after that is
challenged by an Echo value, and executed when it comes again with it [§B.1.2].
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.edge.access import Access
from rimward.edge.access.file import Device
from rimward.edge.access.oscore import OscoreKeys
from rimward.edge.gateways.coap.incoming import Incoming, Way
from rimward.edge.gateways.coap.sequences import Disk, Numbers, SequenceNumbers
from rimward.edge.gateways.coap.trust import Trust
from rimward.protocols.coap import CoapError, Message, Observer, Options, uint
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.oscore import Asking, Context, Window, open_request, protect_response
from rimward.protocols.coap.oscore.messages import OVERHEAD, header_of

CONTEXTS = 16_384  # that are remembered; one that is forgotten is derived anew, and its device challenged
LARGEST = 60_000  # bytes of payload that one protected message has: AES-CCM-16 takes 65,535


class Secured(Struct, eq=False):
    """A device's security context, and what changes in it."""

    device: Device
    context: Context
    window: Window
    numbers: Numbers


class Security:
    """The security contexts of all devices."""

    def __init__(self, access: Access, trust: Trust, disk: Disk | None, clock: Callable[[], int]) -> None:
        """Without a disk nothing is opened: no number would be safe. `clock` is monotonic ns."""
        self.counters: dict[str, int] = dict.fromkeys(
            ("oscore_opened", "oscore_refused", "oscore_replays", "oscore_challenged", "oscore_unsent"), 0
        )
        self.wake: Callable[[Any], None] = _nobody  # called when a peer's notifications have their numbers
        self.access: Access = access
        self.trust: Trust = trust
        self.clock: Callable[[], int] = clock
        self._numbers = None if disk is None else SequenceNumbers(disk, clock)
        self._known: OrderedDict[OscoreKeys, Secured] = OrderedDict()

    def open(self, incoming: Incoming) -> bool:
        """Open a request in place; False where it was answered with a challenge.

        Raises:
            CoapError: 4.00, it is not genuine; 4.01, nobody has its key, or it has come before; 4.02, its
                option can't be read.
        """
        try:
            return self._open(incoming)
        except CoapError:
            self.counters["oscore_refused"] += 1
            raise

    def _open(self, incoming: Incoming) -> bool:
        header, asking = header_of(incoming.message)
        secured = self.of_key(asking.kid, header.context)
        if secured is None:
            raise CoapError("no security context has this key id", c.UNAUTHORIZED)
        window, number = secured.window, uint(asking.piv)
        if window.known and not window.fresh(number):
            self.counters["oscore_replays"] += 1
            raise CoapError("replay detected", c.UNAUTHORIZED)
        incoming.message = open_request(secured.context, incoming.message, asking)
        incoming.secured = secured
        if window.known:
            window.accept(number)
        elif not self._is_new(secured, incoming):
            self._challenge(secured, incoming, asking)
            return False
        else:
            window.begin(number)
            self.trust.verify(incoming.key, incoming.now)
        incoming.way = Sealed(self, incoming.way, secured, asking)
        self.counters["oscore_opened"] += 1
        return True

    def of_key(self, kid: bytes, context: bytes | None) -> Secured | None:
        """Return the context that a key id names; None where nobody has it."""
        device = self.access.key_holder(kid, context)
        return None if device is None else self.of(device)

    def of(self, device: Device) -> Secured | None:
        """Return a device's context; None where it has no keys."""
        keys = device.oscore
        if keys is None or self._numbers is None:
            return None
        secured = self._known.pop(keys, None)
        if secured is None or secured.device != device:
            context = Context(keys.keys()) if secured is None else secured.context
            window = Window() if secured is None else secured.window
            secured = Secured(device, context, window, self._numbers.of(context.name))
            if len(self._known) >= CONTEXTS:
                self._known.popitem(last=False)
        self._known[keys] = secured
        return secured

    def _is_new(self, secured: Secured, incoming: Incoming) -> bool:
        echo = incoming.message.get(opt.ECHO)
        whose = (secured.context.name, incoming.key)
        return echo is not None and self.trust.fresh(whose, echo, incoming.now)

    def _challenge(self, secured: Secured, incoming: Incoming, asking: Asking) -> None:
        """Ask for a proof that the request is new: with a number of ours, for its own may have been used."""
        self.counters["oscore_challenged"] += 1
        echo = self.trust.challenge((secured.context.name, incoming.key), incoming.now)
        way = Sealed(self, incoming.way, secured, asking, numbered=True)
        way.respond(incoming, c.UNAUTHORIZED, [(opt.ECHO, echo)], b"")


class Sealed:
    """The way back of one request by OSCORE, around that of its transport."""

    def __init__(
        self, security: Security, way: Way, secured: Secured, asking: Asking, *, numbered: bool = False
    ) -> None:
        """`numbered` tells that every response needs a number of its own."""
        self.reliable: bool = way.reliable
        self._security = security
        self._way = way
        self._secured = secured
        self._asking = asking
        self._numbered = numbered

    @property
    def bert(self) -> bool:
        """Whether blocks may be larger than 1024 bytes."""
        return self._way.bert

    @property
    def largest(self) -> int:
        """Bytes of payload that one message to the peer may have."""
        largest = self._way.largest
        return min(largest - OVERHEAD, LARGEST) if self.reliable else largest

    def hold(self, incoming: Incoming) -> None:
        """The response takes longer."""
        self._way.hold(incoming)

    def respond(self, incoming: Incoming, code: int, options: Options, payload: bytes) -> None:
        """Send the response; one that is numbered as soon as there is a number for it."""
        message = Message(code, incoming.message.token, options, payload)
        if not self._numbered and message.get(opt.OBSERVE) is None:
            self._numbered = True  # the request's nonce is used once
            self._leave(incoming, message, None)
        elif (number := self._secured.numbers.take()) is not None:
            self._leave(incoming, message, number)
        elif self._secured.numbers.soon(lambda: self._again(incoming, message)):
            self._way.hold(incoming)
        else:
            self._unsent(incoming)

    def _again(self, incoming: Incoming, message: Message) -> None:
        number = self._secured.numbers.take()
        if number is None:
            self._unsent(incoming)
        else:
            self._leave(incoming, message, number)

    def _leave(self, incoming: Incoming, message: Message, number: int | None) -> None:
        sealed = protect_response(self._secured.context, message, self._asking, number)
        self._way.respond(incoming, sealed.code, sealed.options, sealed.payload)

    def _unsent(self, incoming: Incoming) -> None:
        self._security.counters["oscore_unsent"] += 1
        self._way.drop(incoming)

    def drop(self, incoming: Incoming) -> None:
        """Send none."""
        self._way.drop(incoming)

    def reject(self, incoming: Incoming) -> None:
        """Reset the request."""
        self._way.reject(incoming)

    def notify(self, observer: Observer, message: Message, *, confirmable: bool) -> bool:
        """Send a notification; False where there is no number for it yet, or no room."""
        number = self._secured.numbers.take()
        if number is None:
            self._secured.numbers.soon(lambda: self._security.wake(observer.peer))
            return False
        sealed = protect_response(self._secured.context, message, self._asking, number)
        return self._way.notify(observer, sealed, confirmable=confirmable)


def _nobody(key: Any) -> None:
    """Nobody observes."""
