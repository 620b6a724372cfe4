"""Types, codes and errors of CoAP [RFC 7252 §12.1, RFC 8132, RFC 8323 §5]."""

from rimward.events import RimwardError

CON, NON, ACK, RST = 0, 1, 2, 3

EMPTY = 0x00
GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = range(1, 8)
METHODS: dict[int, str] = {
    GET: "GET", POST: "POST", PUT: "PUT", DELETE: "DELETE", FETCH: "FETCH", PATCH: "PATCH", IPATCH: "IPATCH"
}  # fmt: skip

CREATED, DELETED, VALID, CHANGED, CONTENT = 0x41, 0x42, 0x43, 0x44, 0x45
CONTINUE = 0x5F  # 2.31
BAD_REQUEST, UNAUTHORIZED, BAD_OPTION, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED = range(0x80, 0x86)
NOT_ACCEPTABLE = 0x86
INCOMPLETE = 0x88  # 4.08 Request Entity Incomplete
TOO_MANY_REQUESTS = 0x9D  # 4.29 [RFC 8516]
PRECONDITION_FAILED, TOO_LARGE, UNSUPPORTED_FORMAT = 0x8C, 0x8D, 0x8F
SERVER_ERROR, NOT_IMPLEMENTED = 0xA0, 0xA1
UNAVAILABLE = 0xA3
NO_PROXY = 0xA5  # 5.05

CSM, PING, PONG, RELEASE, ABORT = 0xE1, 0xE2, 0xE3, 0xE4, 0xE5

_NAMES = {
    0x41: "Created", 0x42: "Deleted", 0x43: "Valid", 0x44: "Changed", 0x45: "Content", 0x5F: "Continue",
    0x80: "Bad Request", 0x81: "Unauthorized", 0x82: "Bad Option", 0x83: "Forbidden", 0x84: "Not Found",
    0x85: "Method Not Allowed", 0x86: "Not Acceptable", 0x88: "Request Entity Incomplete", 0x89: "Conflict",
    0x8C: "Precondition Failed", 0x8D: "Request Entity Too Large", 0x8F: "Unsupported Content-Format",
    0x96: "Unprocessable Entity", 0x9D: "Too Many Requests", 0xA0: "Internal Server Error",
    0xA1: "Not Implemented", 0xA2: "Bad Gateway", 0xA3: "Service Unavailable", 0xA4: "Gateway Timeout",
    0xA5: "Proxying Not Supported", 0xA8: "Hop Limit Reached",
}  # fmt: skip


def code_of(text: str) -> int:
    """Return the code that `2.05` writes."""
    kind, _, detail = text.partition(".")
    return int(kind) << 5 | int(detail)


def dotted(code: int) -> str:
    """Return a code as people write it: 2.05."""
    return f"{code >> 5}.{code & 31:02}"


def name_of(code: int) -> str:
    """Return a response code's name, empty where it has none."""
    return _NAMES.get(code, "")


class CoapError(RimwardError):
    """A message that breaks a rule; `answer` is what the peer is told, where it can be told anything."""

    code = "coap"

    def __init__(self, detail: str, answer: int = BAD_REQUEST) -> None:
        super().__init__(detail)
        self.detail: str = detail
        self.answer: int = answer  # the response code


class FormatError(CoapError):
    """A datagram or frame that is no CoAP message: there is nobody to answer, at most to reset."""

    def __init__(self, detail: str, reset: int | None = None) -> None:
        super().__init__(detail)
        self.reset: int | None = reset  # the message id to reset, where the head was readable and asks for it
