"""What a request asks for, read from its options [RFC 7252 §5.10, RFC 7641, RFC 7959, RFC 9175]."""

from msgspec import Struct

from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import BAD_REQUEST, NO_PROXY, CoapError
from rimward.protocols.coap.messages import Message
from rimward.protocols.coap.options import Block, block_of, checked, uint, uint_bytes

OBSERVE, CANCEL = 0, 1  # values of Observe in a request


class Asked(Struct):
    """A request's options by their meaning."""

    segments: list[str] = []
    queries: list[str] = []
    host: str | None = None
    content_format: int | None = None
    accept: int | None = None
    observe: int | None = None
    block1: Block | None = None
    block2: Block | None = None
    size1: int | None = None
    etags: list[bytes] = []
    if_match: list[bytes] = []
    if_none_match: bool = False
    echo: bytes | None = None
    no_response: int = 0

    @property
    def conditional(self) -> bool:
        """Whether it is to be done only if the resource is as its sender thinks."""
        return bool(self.if_match) or self.if_none_match


def asked_of(message: Message, *, bert: bool = False) -> Asked:
    """Read a request's options. With `bert` blocks may be larger than 1024 bytes.

    Raises:
        CoapError: 4.02, a critical option is not understood; 5.05, it asks for a proxy; 4.00, text is not
            UTF-8 or a path has a segment of dots.
    """
    asked = Asked()
    for number, value in checked(message.options):
        if number == opt.URI_PATH:
            asked.segments.append(_segment(value))
        elif number == opt.URI_QUERY:
            asked.queries.append(_text(value, "Uri-Query"))
        elif number == opt.CONTENT_FORMAT:
            asked.content_format = uint(value)
        elif number == opt.ACCEPT:
            asked.accept = uint(value)
        else:
            _read(asked, number, value, bert=bert)
    return asked


def _read(asked: Asked, number: int, value: bytes, *, bert: bool) -> None:
    """Read one of the less common options."""
    match number:
        case opt.OBSERVE:
            asked.observe = uint(value)
        case opt.BLOCK1:
            asked.block1 = block_of(value, bert=bert)
        case opt.BLOCK2:
            asked.block2 = block_of(value, bert=bert)
        case opt.SIZE1:
            asked.size1 = uint(value)
        case opt.ETAG:
            asked.etags.append(value)
        case opt.IF_MATCH:
            asked.if_match.append(value)
        case opt.IF_NONE_MATCH:
            asked.if_none_match = True
        case _:
            _read_rare(asked, number, value)


def _read_rare(asked: Asked, number: int, value: bytes) -> None:
    if number == opt.ECHO:
        asked.echo = value
    elif number == opt.NO_RESPONSE:
        asked.no_response = uint(value)
    elif number == opt.URI_HOST:
        asked.host = _text(value, "Uri-Host").lower()
    elif number in {opt.PROXY_URI, opt.PROXY_SCHEME}:
        raise CoapError("this node is no proxy", NO_PROXY)


def _segment(value: bytes) -> str:
    text = _text(value, "Uri-Path")
    if text in {".", ".."}:
        raise CoapError(f"Uri-Path is {text!r}, which no segment may be")
    return text


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CoapError(f"{name} is not UTF-8", BAD_REQUEST) from None


def cache_key(message: Message) -> tuple[object, ...]:
    """Return what tells one representation from another, whoever asks and for which block of it."""
    return (message.code, *(option for option in message.options if option[0] not in _NO_KEY))


_NO_KEY = frozenset((
    opt.BLOCK1, opt.BLOCK2, opt.SIZE1, opt.SIZE2, opt.OBSERVE, opt.ECHO, opt.NO_RESPONSE, opt.ETAG,
    opt.CONTENT_FORMAT,
))  # fmt: skip


def request(
    code: int,
    path: str,
    payload: bytes = b"",
    *,
    content_format: int | None = None,
    accept: int | None = None,
    more: opt.Options | None = None,
) -> Message:
    """Return a request to a path with its query, as text without percent-encoding; `more` in any order."""
    target, _, query = path.partition("?")
    options: opt.Options = [(opt.URI_PATH, part.encode()) for part in target.strip("/").split("/") if part]
    options += [(opt.URI_QUERY, part.encode()) for part in query.split("&") if part]
    if content_format is not None:
        options.append((opt.CONTENT_FORMAT, uint_bytes(content_format)))
    if accept is not None:
        options.append((opt.ACCEPT, uint_bytes(accept)))
    options += more or []
    return Message(code, options=sorted(options, key=_number), payload=payload)


def _number(option: tuple[int, bytes]) -> int:
    return option[0]
