"""CoAP over reliable transports [RFC 8323]: one connection's session, from its CSM to Release or Abort."""

from rimward.protocols.coap.codes import ABORT, CSM, EMPTY, PING, PONG, RELEASE
from rimward.protocols.coap.messages import FrameDecoder, Message, frame
from rimward.protocols.coap.options import Options, uint, uint_bytes
from rimward.protocols.coap.timing import SECOND

MAX_MESSAGE_SIZE, BLOCKWISE, BAD_CSM_OPTION = 2, 4, 2  # options of CSM, and of Abort
CUSTODY = 2  # of Ping and Pong
BASE_SIZE = 1152  # what a peer takes that has not said more [§5.3.1]


class StreamSession:
    """The server's side of one connection. Bytes and time go in, requests and bytes come out."""

    def __init__(self, max_size: int, patience: float, now: int) -> None:
        """`max_size` is of one message, bytes; `patience` is how long the peer's CSM may take, seconds."""
        self.closing: bool = False  # nothing more is read; what waits to be sent may still leave
        self.released: bool = False  # the peer, or this end, has no further requests
        self.error: str | None = None  # why the connection was aborted
        self.peer_size: int = BASE_SIZE  # bytes of a message that the peer takes
        self.peer_blockwise: bool = False
        self.pings: int = 0
        self._settled = False  # the peer's CSM is here
        self._decoder = FrameDecoder(max_size)
        self._out = bytearray()
        self._deadline: int | None = now + round(patience * SECOND)
        options: Options = [(MAX_MESSAGE_SIZE, uint_bytes(max_size)), (BLOCKWISE, b"")]
        self.send(Message(CSM, options=options))

    @property
    def deadline(self) -> int | None:
        """Monotonic ns at which the peer must have sent its CSM."""
        return self._deadline

    @property
    def bert(self) -> bool:
        """Whether blocks may be larger than 1024 bytes: both sides take larger messages [§6]."""
        return self.peer_blockwise and self.peer_size > BASE_SIZE

    def receive_data(self, data: bytes) -> list[Message]:
        """Return the requests that `data` completes; signals are answered here."""
        if self.closing:
            return []
        requests: list[Message] = []
        for message in self._decoder.feed(data):
            if message.code >> 5 == 7:
                self._signal(message)
            elif not self._settled:
                self.abort("the first message is not a CSM")
            elif 0 < message.code < 32:
                requests.append(message)
            if self.closing:
                return requests
        if self._decoder.error is not None:
            self.abort(self._decoder.error.detail)
        return requests

    def _signal(self, message: Message) -> None:
        if message.code != CSM and not self._settled and message.code != ABORT:
            self.abort("the first message is not a CSM")
            return
        known = {CSM: {MAX_MESSAGE_SIZE, BLOCKWISE}}.get(message.code, {CUSTODY, 4})
        for number, _ in message.options:
            if number & 1 and number not in known:
                self.abort(f"the option {number} of a signal is not understood", number)
                return
        if message.code == CSM:
            self._take_csm(message.options)
        elif message.code == PING:
            self.pings += 1
            custody: Options = [option for option in message.options if option[0] == CUSTODY]
            self.send(Message(PONG, message.token, custody))
        elif message.code == RELEASE:
            self.released = True
        elif message.code == ABORT:
            self.closing = self.released = True
            self.error = self.error or "the peer aborted the connection"

    def _take_csm(self, options: Options) -> None:
        self._settled, self._deadline = True, None
        for number, value in options:
            if number == MAX_MESSAGE_SIZE and len(value) <= 4:
                self.peer_size = uint(value)
            elif number == BLOCKWISE:
                self.peer_blockwise = True

    def send(self, message: Message) -> None:
        """Queue a message."""
        if message.code != EMPTY:
            self._out += frame(message)

    def data_to_send(self) -> bytes:
        """Return what is to be written."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def release(self) -> None:
        """Ask the peer to end the connection: no further request is begun [§5.5]."""
        if not self.released and not self.closing:
            self.released = True
            self.send(Message(RELEASE))

    def abort(self, why: str, option: int | None = None) -> None:
        """End the connection with the reason [§5.6]."""
        if self.closing:
            return
        options: Options = [] if option is None else [(BAD_CSM_OPTION, uint_bytes(option))]
        self.send(Message(ABORT, options=options, payload=why.encode()))
        self.closing = self.released = True
        self.error = why

    def expire(self, now: int) -> None:
        """Abort where the peer's CSM did not come in time."""
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self.abort("no CSM came in time")
