"""A client's exchange over datagrams: one request, sent again until it is answered, large ones in blocks."""

from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import ACK, CON, CONTINUE, EMPTY, RST, UNAUTHORIZED, CoapError, FormatError
from rimward.protocols.coap.messages import Message, decode, empty, encode
from rimward.protocols.coap.options import Block, Options, block_of
from rimward.protocols.coap.timing import SECOND, Timing

SZX = 6  # blocks of 1024 bytes
LARGEST = 16 << 20  # bytes of a response that is put together


class ClientExchange:
    """One request until its response is whole; `outgoing` are datagrams to send, `response` the end of it."""

    def __init__(self, request: Message, token: bytes, mid: int, timing: Timing, now: int) -> None:
        self.response: Message | None = None
        self.error: str | None = None  # why there will be none
        self.outgoing: list[bytes] = []
        self.notifications: list[Message] = []
        self.deadline: int | None = None  # monotonic ns of the next retransmission
        self._request = request
        self._token = token
        self._mid = mid
        self._timing = timing
        self._body = bytearray()
        self._szx = SZX
        self._sent = 0  # bytes of the request's payload that are acknowledged
        self._echo: bytes | None = None
        self._left = 0
        self._timeout = 0
        self._datagram = b""
        self._block2: Block | None = None
        self._send(now)

    @property
    def done(self) -> bool:
        """Whether nothing more is waited for."""
        return self.response is not None or self.error is not None

    def _send(self, now: int) -> None:
        options: Options = list(self._request.options)
        payload = self._request.payload
        if self._block2 is not None:
            options = [option for option in options if option[0] != opt.OBSERVE]
            options.append((opt.BLOCK2, self._block2.encode()))
            payload = b""
        elif len(payload) > 1024:
            size = 16 << self._szx
            more = self._sent + size < len(payload)
            options.append((opt.BLOCK1, Block(self._sent // size, more, self._szx).encode()))
            if not self._sent:
                options.append((opt.SIZE1, opt.uint_bytes(len(payload))))
            payload = payload[self._sent : self._sent + size]
        if self._echo is not None:
            options.append((opt.ECHO, self._echo))
        options.sort(key=lambda option: option[0])
        self._mid = (self._mid + 1) & 0xFFFF
        self._datagram = encode(Message(self._request.code, self._token, options, payload, CON, self._mid))
        self._timeout = round(self._timing.ack_timeout * SECOND)
        self._left = self._timing.max_retransmit
        self.outgoing.append(self._datagram)
        self.deadline = now + self._timeout

    def expire(self, now: int) -> None:
        """Send the request again, or give it up."""
        if self.deadline is None or now < self.deadline or self.done:
            return
        if not self._left:
            self.error, self.deadline = "no answer came", None
            return
        self._left -= 1
        self._timeout *= 2
        self.outgoing.append(self._datagram)
        self.deadline = now + self._timeout

    def receive(self, data: bytes, now: int) -> None:
        """Take a datagram from the server."""
        try:
            message = decode(data)
        except FormatError:
            return
        if message is None:
            return
        if message.code == EMPTY:
            if message.mid == self._mid and message.type == ACK:
                self.deadline = None  # the response comes by itself
            elif message.mid == self._mid and message.type == RST and not self.done:
                self.error = "the server reset the request"
            return
        if message.token != self._token or message.code < 32:
            if message.type == CON:
                self.outgoing.append(empty(RST, message.mid))
            return
        if message.type == CON:
            self.outgoing.append(empty(ACK, message.mid))
        if self.done:
            self.notifications.append(message)
        else:
            self._take(message, now)

    def _take(self, message: Message, now: int) -> None:
        self.deadline = None
        if message.code == CONTINUE:
            self._go_on(message, now)
            return
        echo = message.get(opt.ECHO)
        if message.code == UNAUTHORIZED and echo is not None and self._echo is None:
            self._echo = echo
            self._send(now)
            return
        self._collect(message, now)

    def _go_on(self, message: Message, now: int) -> None:
        """Send the next block, no larger than the server likes them."""
        try:
            taken = block_of(message.get(opt.BLOCK1) or b"", bert=False)
        except CoapError as error:
            self.error = error.detail
            return
        self._sent += 16 << self._szx
        self._szx = min(self._szx, taken.szx)
        if self._sent >= len(self._request.payload):
            self.error = "the server asks for more than there is"
            return
        self._send(now)

    def _collect(self, message: Message, now: int) -> None:
        value = message.get(opt.BLOCK2)
        try:
            block = None if value is None else block_of(value, bert=False)
        except CoapError as error:
            self.error = error.detail
            return
        if block is None:
            self.response = message
            return
        if block.start != len(self._body) or len(self._body) > LARGEST:
            self.error = f"block {block.number} is not the one that was asked for"
            return
        self._body += message.payload
        if block.more:
            self._block2 = Block(len(self._body) // block.size, more=False, szx=block.szx)
            self._send(now)
            return
        message.payload = bytes(self._body)
        self.response = message
