"""What dispatch answers, in CoAP's words: response codes, options and payload."""

from msgspec import Struct

from rimward.edge.dispatch.types import Refusal, Reply, Ticket
from rimward.edge.gateways.coap.formats import number_of
from rimward.events import REFUSALS
from rimward.protocols.coap import CoapError, Options, code_of, etag_of, name_of, uint_bytes
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import options as opt

_SUCCESS: dict[str, int] = {  # what 200 and 204 are, by method [RFC 7252 §5.8, RFC 8132]
    "GET": c.CONTENT, "FETCH": c.CONTENT, "POST": c.CHANGED, "PUT": c.CHANGED, "DELETE": c.DELETED,
    "PATCH": c.CHANGED, "IPATCH": c.CHANGED,
}  # fmt: skip
_STATUSES = {201: c.CREATED, 304: c.VALID}
_CODES: dict[str, int] = {kind: code_of(words.coap) for kind, words in REFUSALS.items()}
SAFE = frozenset({"GET", "FETCH"})


class Answer(Struct):
    """A response before it is cut into blocks."""

    code: int
    options: Options = []  # in order
    payload: bytes = b""

    @property
    def good(self) -> bool:
        """Whether it says that all went well."""
        return self.code < c.BAD_REQUEST


def answer_of(ticket: Ticket, method: str, retry_after: int) -> Answer:
    """Return the answer to a request whose ticket is done; what may succeed later says when, in seconds."""
    if ticket.refusal is not None:
        return refused(ticket.refusal, retry_after)
    reply = ticket.reply
    if reply is None:
        return Answer(_SUCCESS[method])
    code = _code(reply.status, method)
    if code is None:
        text = f"the function replied with the status {reply.status}, which CoAP has no code for"
        return Answer(c.SERVER_ERROR, [], text.encode())
    if code >= c.BAD_REQUEST and not reply.body:
        return Answer(code, [], _told(reply, code))
    return Answer(code, _options(reply), reply.body)


def refused(refusal: Refusal, retry_after: int) -> Answer:
    """Return a refusal with its reason as the diagnostic payload [RFC 7252 §5.5.2]."""
    code = _CODES[refusal.kind]
    options: Options = [(opt.MAX_AGE, uint_bytes(retry_after))] if code == c.UNAVAILABLE else []
    return Answer(code, options, refusal.detail.encode())


def error_answer(error: CoapError, retry_after: int, largest: int) -> Answer:
    """Return the answer to a request that broke a rule; what is too large is told how large it may be."""
    options: Options = []
    if error.answer == c.TOO_LARGE:
        options.append((opt.SIZE1, uint_bytes(largest)))
    elif error.answer == c.UNAVAILABLE:
        options.append((opt.MAX_AGE, uint_bytes(retry_after)))
    return Answer(error.answer, options, error.detail.encode())


def tag(answer: Answer, etags: list[bytes], tag_from: int) -> Answer:
    """Give a representation its ETag; one that the caller has already is only called valid [§5.6.2]."""
    if answer.code != c.CONTENT or len(answer.payload) < tag_from:
        return answer
    etag = next((value for number, value in answer.options if number == opt.ETAG), None)
    if etag is None:
        etag = etag_of(answer.payload)
        answer.options = sorted([*answer.options, (opt.ETAG, etag)], key=lambda option: option[0])
    if etag in etags:
        kept = [option for option in answer.options if option[0] in {opt.ETAG, opt.MAX_AGE}]
        return Answer(c.VALID, kept)
    return answer


def _code(status: int, method: str) -> int | None:
    if status in {200, 204}:
        return _SUCCESS[method]
    if status in _STATUSES:
        return _STATUSES[status]
    if status < 300:
        return _SUCCESS[method]
    if status < 400:
        return None
    code = (status // 100) << 5 | status % 100 if status % 100 < 32 else 0
    return code if name_of(code) else (c.BAD_REQUEST if status < 500 else c.SERVER_ERROR)


def _told(reply: Reply, code: int) -> bytes:
    """Return what an error without a text says."""
    if code == c.METHOD_NOT_ALLOWED and "allow" in reply.headers:
        return f"this path serves {reply.headers['allow']}".encode()
    return b""


def _options(reply: Reply) -> Options:
    options: Options = []
    number = number_of(reply.content_type)
    if number is not None and reply.body:
        options.append((opt.CONTENT_FORMAT, uint_bytes(number)))
    headers = reply.headers
    if headers:
        options += _from_headers(headers)
        options.sort(key=lambda option: option[0])
    return options


def _from_headers(headers: dict[str, str]) -> Options:
    """Return the options that a function's headers mean: etag, location, cache-control's max-age."""
    options: Options = []
    if (etag := headers.get("etag")) is not None:
        value = etag.strip().removeprefix("W/").strip('"').encode()
        options.append((opt.ETAG, value if 1 <= len(value) <= 8 else etag_of(value)))
    if (location := headers.get("location")) is not None:
        path, _, query = location.partition("?")
        parts = [part.encode()[:255] for part in path.strip("/").split("/") if part]
        options += [(opt.LOCATION_PATH, part) for part in parts]
        options += [(opt.LOCATION_QUERY, part.encode()[:255]) for part in query.split("&") if part]
    name, _, age = headers.get("cache-control", "").partition("=")
    if name.strip().lower() == "max-age" and age.isdecimal():
        options.append((opt.MAX_AGE, uint_bytes(min(int(age), 0xFFFFFFFF))))
    return options
