"""Bodies larger than a message [RFC 7959]: put together from Block1, handed out by Block2, within bounds."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from rimward.protocols.coap.codes import BAD_REQUEST, INCOMPLETE, TOO_LARGE, UNAVAILABLE, CoapError
from rimward.protocols.coap.options import Block, Options
from rimward.protocols.coap.timing import SECOND

ETAG_BYTES = 6


class BlockLimits(Struct, frozen=True):
    """What transfers in blocks may hold, for all peers together."""

    body: int = 256 << 10  # bytes of one body
    assemblies: int = 256  # bodies that arrive at a time
    assembly_bytes: int = 8 << 20
    timeout: float = 93.0  # seconds without a further block: MAX_TRANSMIT_WAIT [RFC 7252 §4.8.2]
    served: int = 256  # representations that are kept until their last block was asked for
    served_bytes: int = 8 << 20


class _Assembly:
    __slots__ = ("body", "touched")

    def __init__(self, now: int) -> None:
        self.body = bytearray()
        self.touched = now


class Assemblies:
    """Bodies that arrive in blocks, by who sends them and to what."""

    def __init__(self, limits: BlockLimits) -> None:
        self.counters: dict[str, int] = {"bodies": 0, "bodies_refused": 0, "bodies_abandoned": 0}
        self._limits = limits
        self._timeout = round(limits.timeout * SECOND)
        self._open: OrderedDict[Any, _Assembly] = OrderedDict()  # the one touched longest ago first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, key: Any, block: Block, payload: bytes, size1: int | None, now: int) -> bytes | None:
        """Take a block; return the body once it is whole.

        Raises:
            CoapError: 4.08, blocks are missing; 4.13, it is too large; 4.00, a block has not the size that
                it says; 5.03, too many bodies arrive at a time.
        """
        self.expire(now)
        try:
            return self._add(key, block, payload, size1, now)
        except CoapError:
            self.counters["bodies_refused"] += 1
            self._drop(key)
            raise

    def _add(self, key: Any, block: Block, payload: bytes, size1: int | None, now: int) -> bytes | None:
        limit = self._limits.body
        if max(block.start + len(payload), size1 or 0) > limit:
            raise CoapError(f"a body may have {limit} bytes", TOO_LARGE)
        if block.number == 0:
            self._drop(key)
            if not block.more:
                return payload
            self._begin(key, now)
        found = self._open.get(key)
        if found is None or block.start != len(found.body):
            have = 0 if found is None else len(found.body)
            raise CoapError(f"block {block.number} is at {block.start}, {have} bytes are here", INCOMPLETE)
        if block.more and (not payload or len(payload) % block.size):
            raise CoapError(f"a block of {len(payload)} bytes says that it has {block.size}", BAD_REQUEST)
        found.body += payload
        found.touched = now
        self._bytes += len(payload)
        self._open.move_to_end(key)
        if block.more:
            return None
        self.counters["bodies"] += 1
        body = bytes(found.body)
        self._drop(key)
        return body

    def _begin(self, key: Any, now: int) -> None:
        if len(self._open) >= self._limits.assemblies or self._bytes >= self._limits.assembly_bytes:
            raise CoapError("too many bodies arrive in blocks at a time", UNAVAILABLE)
        self._open[key] = _Assembly(now)

    def _drop(self, key: Any) -> None:
        found = self._open.pop(key, None)
        if found is not None:
            self._bytes -= len(found.body)

    def expire(self, now: int) -> None:
        """Forget bodies whose next block did not come."""
        while self._open:
            key, found = next(iter(self._open.items()))
            if now - found.touched < self._timeout:
                return
            self.counters["bodies_abandoned"] += 1
            self._drop(key)


class Served(Struct):
    """A response that is handed out in blocks."""

    code: int
    options: Options
    payload: bytes
    touched: int


class Representations:
    """Responses that are being handed out, so that all blocks of one are of one state."""

    def __init__(self, limits: BlockLimits) -> None:
        self._limits = limits
        self._timeout = round(limits.timeout * SECOND)
        self._kept: OrderedDict[Any, Served] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: Any, served: Served) -> None:
        """Keep a response for the requests for its further blocks; the oldest makes room."""
        self.drop(key)
        limits = self._limits
        self._kept[key] = served
        self._bytes += len(served.payload)
        while len(self._kept) > limits.served or (self._bytes > limits.served_bytes and len(self._kept) > 1):
            self.drop(next(iter(self._kept)))

    def find(self, key: Any, now: int) -> Served | None:
        """Return a response that is being handed out."""
        self.expire(now)
        found = self._kept.get(key)
        if found is not None:
            found.touched = now
            self._kept.move_to_end(key)
        return found

    def drop(self, key: Any) -> None:
        """Forget a response."""
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found.payload)

    def expire(self, now: int) -> None:
        """Forget responses that nobody asks for any more."""
        while self._kept:
            key, found = next(iter(self._kept.items()))
            if now - found.touched < self._timeout:
                return
            self.drop(key)


def slice_of(payload: bytes, block: Block, room: int) -> tuple[bytes, Block]:
    """Return a block of a payload and the option that names it; `room` bounds a BERT block's bytes.

    Raises:
        CoapError: 4.00, the payload ends before it.
    """
    if block.start >= len(payload) and block.number:
        raise CoapError(f"block {block.number} lies behind the end at {len(payload)} bytes")
    size = block.size if block.szx < 7 else max(room // 1024, 1) * 1024
    end = block.start + size
    return payload[block.start : end], Block(block.number, end < len(payload), block.szx)


def etag_of(payload: bytes) -> bytes:
    """Return an ETag for a representation's bytes."""
    return blake2b(payload, digest_size=ETAG_BYTES).digest()
