"""Messages protected and opened [RFC 8613 §4, §5.3, §8]: what is said inside, and what stays outside."""

from typing import TYPE_CHECKING

from msgspec import Struct

from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import (
    BAD_OPTION,
    BAD_REQUEST,
    CHANGED,
    CONTENT,
    FETCH,
    POST,
    CoapError,
    FormatError,
)
from rimward.protocols.coap.messages import Message
from rimward.protocols.coap.options import Options
from rimward.protocols.coap.oscore.compressed import Compressed, compressed_of
from rimward.protocols.coap.oscore.context import MAX_SEQUENCE, Context, aad_of

if TYPE_CHECKING:
    from rimward.protocols.coap.oscore.context import Cipher

# Options that proxies act on stand outside, unprotected; all others inside [§4.1].
OUTSIDE = frozenset({opt.URI_HOST, opt.URI_PORT, opt.PROXY_URI, opt.PROXY_SCHEME, opt.HOP_LIMIT, opt.OSCORE})
OVERHEAD = 32  # bytes at most that protection adds to a response: option, code, marker and tag


class Asking(Struct, frozen=True):
    """What a response needs of its request."""

    kid: bytes
    piv: bytes


def header_of(message: Message) -> tuple[Compressed, Asking]:
    """Return the header of a protected request.

    Raises:
        CoapError: 4.02, it can't be read.
    """
    value = message.get(opt.OSCORE)
    header = compressed_of(value or b"")
    if header.kid is None or header.piv is None or not message.payload:
        raise CoapError("a request by OSCORE has a key id, a partial IV and a payload", BAD_OPTION)
    if message.get(opt.BLOCK1) is not None or message.get(opt.BLOCK2) is not None:
        raise CoapError("blocks are cut inside OSCORE, not around it", BAD_OPTION)
    return header, Asking(header.kid, header.piv)


def open_request(context: Context, message: Message, asking: Asking) -> Message:
    """Return the request inside a protected one; whether it has come before is for `Window` to tell.

    Raises:
        CoapError: 4.00, it is not genuine.
    """
    nonce = context.nonce(context.keys.recipient, asking.piv)
    inner = _opened(context.receiving, nonce, message, aad_of(asking.kid, asking.piv))
    watched = message.get(opt.OBSERVE) is not None  # a proxy that keeps no observation takes it off
    options = [
        option
        for option in inner.options
        if option[0] not in OUTSIDE and (watched or option[0] != opt.OBSERVE)
    ]
    inner.options = options + [one for one in message.options if one[0] in OUTSIDE and one[0] != opt.OSCORE]
    inner.options.sort(key=_number)
    return inner


def protect_response(
    context: Context, message: Message, asking: Asking, sequence: int | None = None
) -> Message:
    """Return a response as it goes out.

    Without a `sequence` number the request's nonce is used: for one response alone, and for none to a request
    that may be a replay [§8.3].
    """
    piv = None if sequence is None else piv_of(sequence)
    named = (asking.kid, asking.piv) if piv is None else (context.keys.sender, piv)
    nonce = context.nonce(*named)
    inside, outside = _parted(message.options)
    watched = any(number == opt.OBSERVE for number, _ in inside)
    if watched and piv is not None:  # the order of notifications is that of their numbers [§4.1.3.5.2]
        inside = [(number, b"" if number == opt.OBSERVE else value) for number, value in inside]
        outside.append((opt.OBSERVE, piv[-3:].lstrip(b"\0")))
    data = bytes((message.code,)) + opt.write(inside, message.payload)
    sealed = context.sending.encrypt(nonce, data, aad_of(asking.kid, asking.piv))
    outside.append((opt.OSCORE, Compressed(piv).encode()))
    outside.sort(key=_number)
    return Message(CONTENT if watched else CHANGED, message.token, outside, sealed, message.type, message.mid)


def protect_request(context: Context, message: Message, sequence: int) -> tuple[Message, Asking]:
    """Return a request as it goes out, and what opens its response."""
    asking = Asking(context.keys.sender, piv_of(sequence))
    inside, outside = _parted(message.options)
    data = bytes((message.code,)) + opt.write(inside, message.payload)
    nonce = context.nonce(asking.kid, asking.piv)
    sealed = context.sending.encrypt(nonce, data, aad_of(asking.kid, asking.piv))
    watched = [option for option in inside if option[0] == opt.OBSERVE]
    header = Compressed(asking.piv, asking.kid, context.keys.context)
    outside += [*watched, (opt.OSCORE, header.encode())]
    outside.sort(key=_number)
    code = FETCH if watched else POST
    return Message(code, message.token, outside, sealed, message.type, message.mid), asking


def open_response(context: Context, message: Message, asking: Asking) -> Message:
    """Return the response inside a protected one.

    Raises:
        CoapError: it is not protected, or not genuine.
    """
    value = message.get(opt.OSCORE)
    if value is None:
        raise CoapError("the response is not protected by OSCORE")
    piv = compressed_of(value).piv
    nonce = context.nonce(*((asking.kid, asking.piv) if piv is None else (context.keys.recipient, piv)))
    return _opened(context.receiving, nonce, message, aad_of(asking.kid, asking.piv))


def piv_of(sequence: int) -> bytes:
    """Return a sequence number as a partial IV: in as few bytes as it takes, and one for zero."""
    assert 0 <= sequence <= MAX_SEQUENCE
    return opt.uint_bytes(sequence) or b"\0"


def _opened(cipher: "Cipher", nonce: bytes, message: Message, aad: bytes) -> Message:
    from cryptography.exceptions import InvalidTag

    try:
        data = cipher.decrypt(nonce, message.payload, aad)
    except (InvalidTag, ValueError):  # the second where it is shorter than a tag
        raise CoapError("the message does not decrypt: it is not genuine, or the keys differ") from None
    try:
        if not data:
            raise FormatError("it is empty")  # noqa: TRY301 (one way out)
        options, payload = opt.read(data, 1)
    except FormatError as error:
        raise CoapError(f"inside OSCORE is no message: {error.detail}", BAD_REQUEST) from None
    return Message(data[0], message.token, options, payload, message.type, message.mid)


def _parted(options: Options) -> tuple[Options, Options]:
    """Return the options that go inside, and those that stay outside."""
    inside = [option for option in options if option[0] not in OUTSIDE]
    return inside, [option for option in options if option[0] in OUTSIDE and option[0] != opt.OSCORE]


def _number(option: tuple[int, bytes]) -> int:
    return option[0]
