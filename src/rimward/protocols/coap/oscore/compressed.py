"""The value of the OSCORE option: a COSE object's header, compressed [RFC 8613 §6.1]."""

from msgspec import Struct

from rimward.protocols.coap.codes import BAD_OPTION, CoapError

_PIV, _KID, _CONTEXT, _RESERVED = 0x07, 0x08, 0x10, 0xE0
MAX_PIV = 5  # bytes


class Compressed(Struct, frozen=True):
    """What the option tells: None where it tells nothing of a kind."""

    piv: bytes | None = None
    kid: bytes | None = None
    context: bytes | None = None

    def encode(self) -> bytes:
        """Return the option's value."""
        piv = self.piv or b""
        flags = len(piv) | _KID * (self.kid is not None) | _CONTEXT * (self.context is not None)
        if not flags:
            return b""
        context = b"" if self.context is None else bytes((len(self.context),)) + self.context
        return bytes((flags,)) + piv + context + (self.kid or b"")


def compressed_of(value: bytes) -> Compressed:
    """Read the option's value.

    Raises:
        CoapError: 4.02, it is none.
    """
    if not value:
        return Compressed()
    flags, size, pos = value[0], value[0] & _PIV, 1
    if flags & _RESERVED or size > MAX_PIV or not flags:
        raise _broken(f"its flags are {flags:#04x}")
    piv, pos = value[pos : pos + size], pos + size
    context: bytes | None = None
    if flags & _CONTEXT and pos < len(value):
        end = pos + 1 + value[pos]
        context, pos = value[pos + 1 : end], end
    if pos > len(value) or (flags & _CONTEXT and context is None):
        raise _broken("it is cut off")
    kid = value[pos:]
    if kid and not flags & _KID:
        raise _broken("it has bytes behind its end")
    return Compressed(piv if size else None, kid if flags & _KID else None, context)


def _broken(why: str) -> CoapError:
    return CoapError(f"the OSCORE option can't be read: {why}", BAD_OPTION)
