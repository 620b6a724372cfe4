"""Options: their numbers, their limits, and how they are written [RFC 7252 §3.1, §5.4, §5.10]."""

from msgspec import Struct

from rimward.protocols.coap.codes import BAD_OPTION, CoapError, FormatError

IF_MATCH, URI_HOST, ETAG, IF_NONE_MATCH, OBSERVE, URI_PORT, LOCATION_PATH = 1, 3, 4, 5, 6, 7, 8
OSCORE = 9  # [RFC 8613]; a request that still has it here was not opened
URI_PATH, CONTENT_FORMAT, MAX_AGE, URI_QUERY, HOP_LIMIT, ACCEPT, LOCATION_QUERY = 11, 12, 14, 15, 16, 17, 20
BLOCK2, BLOCK1, SIZE2, PROXY_URI, PROXY_SCHEME, SIZE1 = 23, 27, 28, 35, 39, 60
ECHO, NO_RESPONSE, REQUEST_TAG = 252, 258, 292

Options = list[tuple[int, bytes]]  # number and value, in the order of their numbers
MAX_OPTIONS = 64  # of one message
_MARKER = 0xFF


class Rule(Struct, frozen=True):
    """What an option's value may be."""

    name: str
    low: int  # bytes
    high: int
    repeats: bool = False


RULES: dict[int, Rule] = {
    IF_MATCH: Rule("If-Match", 0, 8, repeats=True),
    URI_HOST: Rule("Uri-Host", 1, 255),
    ETAG: Rule("ETag", 1, 8, repeats=True),
    IF_NONE_MATCH: Rule("If-None-Match", 0, 0),
    OBSERVE: Rule("Observe", 0, 3),
    URI_PORT: Rule("Uri-Port", 0, 2),
    LOCATION_PATH: Rule("Location-Path", 0, 255, repeats=True),
    URI_PATH: Rule("Uri-Path", 0, 255, repeats=True),
    CONTENT_FORMAT: Rule("Content-Format", 0, 2),
    MAX_AGE: Rule("Max-Age", 0, 4),
    URI_QUERY: Rule("Uri-Query", 0, 255, repeats=True),
    HOP_LIMIT: Rule("Hop-Limit", 1, 1),
    ACCEPT: Rule("Accept", 0, 2),
    LOCATION_QUERY: Rule("Location-Query", 0, 255, repeats=True),
    BLOCK2: Rule("Block2", 0, 3),
    BLOCK1: Rule("Block1", 0, 3),
    SIZE2: Rule("Size2", 0, 4),
    PROXY_URI: Rule("Proxy-Uri", 1, 1034),
    PROXY_SCHEME: Rule("Proxy-Scheme", 1, 255),
    SIZE1: Rule("Size1", 0, 4),
    ECHO: Rule("Echo", 1, 40),
    NO_RESPONSE: Rule("No-Response", 0, 1),
    REQUEST_TAG: Rule("Request-Tag", 0, 8, repeats=True),
}
_PLAIN: dict[int, tuple[int, int]] = {  # what a request's most common options may be, without looking further
    URI_PATH: (0, 255), URI_QUERY: (0, 255)
}  # fmt: skip


def uint(value: bytes) -> int:
    """Return an unsigned integer's value [§3.2]."""
    return int.from_bytes(value, "big")


def uint_bytes(value: int) -> bytes:
    """Return an unsigned integer as few bytes as it takes; zero takes none."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def checked(options: Options) -> Options:
    """Return the options that are understood; elective ones that are not, or of a wrong form, are left out.

    Raises:
        CoapError: 4.02, a critical option is not understood, repeated without leave or of a wrong form.
    """
    kept: Options = []
    last = -1
    for option in options:
        number, value = option
        plain = _PLAIN.get(number)
        if plain is not None and plain[0] <= len(value) <= plain[1]:
            kept.append(option)
            last = number
            continue
        wrong = _wrong(number, value, again=number == last)
        last = number
        if wrong is None:
            kept.append(option)
        elif number & 1:
            raise CoapError(wrong, BAD_OPTION)
    return kept


def _wrong(number: int, value: bytes, *, again: bool) -> str | None:
    rule = RULES.get(number)
    if rule is None:
        return f"the option {number} is not understood"
    if again and not rule.repeats:
        return f"the option {rule.name} stands twice"
    if not rule.low <= len(value) <= rule.high:
        return f"the option {rule.name} has {len(value)} bytes, it must have {rule.low} to {rule.high}"
    return None


def read(data: bytes, pos: int) -> tuple[Options, bytes]:
    """Return the options that begin at `pos`, and the payload behind them.

    Raises:
        FormatError: they are cut off, use a reserved length, or end in a marker without a payload.
    """
    options: Options = []
    number, end = 0, len(data)
    while pos < end:
        first = data[pos]
        if first == _MARKER:
            if pos + 1 == end:
                raise FormatError("a payload marker stands before no payload")
            return options, data[pos + 1 :]
        pos += 1
        delta, length = first >> 4, first & 15
        if delta > 12:
            delta, pos = _extended(data, pos, delta)
        if length > 12:
            length, pos = _extended(data, pos, length)
        number += delta
        stop = pos + length
        if stop > end or number > 0xFFFF or len(options) >= MAX_OPTIONS:
            raise FormatError(f"option {number} is cut off, above 65535, or the {MAX_OPTIONS + 1}th")
        options.append((number, data[pos:stop]))
        pos = stop
    return options, b""


def _extended(data: bytes, pos: int, nibble: int) -> tuple[int, int]:
    if nibble == 15 or pos + nibble - 12 > len(data):
        raise FormatError("an option has the reserved length 15, or is cut off")
    if nibble == 13:
        return data[pos] + 13, pos + 1
    return (data[pos] << 8 | data[pos + 1]) + 269, pos + 2


def write(options: Options, payload: bytes) -> bytes:
    """Return options and payload as they follow a message's token; the options are in order."""
    out = bytearray()
    last = 0
    for number, value in options:
        delta, length = number - last, len(value)
        last = number
        if delta < 13 and length < 13:
            out.append(delta << 4 | length)
        else:
            out.append(_nibble(delta) << 4 | _nibble(length))
            out += _rest(delta) + _rest(length)
        out += value
    if payload:
        out.append(_MARKER)
        out += payload
    return bytes(out)


def _nibble(value: int) -> int:
    if value < 13:
        return value
    return 13 if value < 269 else 14


def _rest(value: int) -> bytes:
    if value < 13:
        return b""
    return bytes((value - 13,)) if value < 269 else (value - 269).to_bytes(2, "big")


class Block(Struct, frozen=True):
    """Block1 or Block2 [RFC 7959 §2.2]: which block, whether more follow, and how large blocks are."""

    number: int
    more: bool
    szx: int  # exponent: 16 << szx bytes; 7 is BERT, over reliable transports only [RFC 8323 §6]

    @property
    def size(self) -> int:
        """Bytes of a block, of the unit that BERT counts in."""
        return 1024 if self.szx == 7 else 16 << self.szx

    @property
    def start(self) -> int:
        """Bytes before this block."""
        return self.number * self.size

    def encode(self) -> bytes:
        """Return the option's value."""
        return uint_bytes(self.number << 4 | self.more << 3 | self.szx)


def block_of(value: bytes, *, bert: bool) -> Block:
    """Return the block that an option names.

    Raises:
        CoapError: 4.00, it has the reserved size.
    """
    number = uint(value)
    if number & 7 == 7 and not bert:
        raise CoapError("a block of size exponent 7 is for reliable transports")
    return Block(number >> 4, bool(number & 8), number & 7)
