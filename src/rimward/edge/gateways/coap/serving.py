"""Requests served: options read, blocks put together, conditions checked, functions run, answers given."""

from urllib.parse import quote

from rimward.edge.access import Action
from rimward.edge.dispatch.types import Request, Ticket, Watched
from rimward.edge.gateways.admission import Admission
from rimward.edge.gateways.coap.answers import SAFE, Answer, answer_of, error_answer, tag
from rimward.edge.gateways.coap.callers import Callers
from rimward.edge.gateways.coap.commanding import Commanding
from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.coap.cutting import Cutter
from rimward.edge.gateways.coap.formats import MEDIA
from rimward.edge.gateways.coap.incoming import Incoming
from rimward.edge.gateways.coap.observing import Observing
from rimward.edge.gateways.coap.security import Security
from rimward.observe import Logger, get_logger
from rimward.protocols.coap import (
    METHODS,
    Assemblies,
    Block,
    CoapError,
    Link,
    Observer,
    asked_of,
    uint,
    uint_bytes,
)
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import links as link_format
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.requests import CANCEL, OBSERVE

log: Logger = get_logger("rimward.coap")

WELL_KNOWN = [".well-known", "core"]
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


class Serving:
    """Serves the requests of all transports."""

    def __init__(
        self,
        door: Watched,
        config: CoapConfig,
        security: Security,
        links: list[Link],
    ) -> None:
        """`security` also has the clock, and who may do what."""
        trust, clock = security.trust, security.clock
        self.callers: Callers = Callers(security.access)
        self.security: Security = security
        self.counters: dict[str, int] = dict.fromkeys(("denied", "failed", "overloaded", "unanswered"), 0)
        self.assemblies: Assemblies = Assemblies(config.blocks)
        self.cutter: Cutter = Cutter(config, trust)
        self.observing: Observing = Observing(door, config, self.cutter, trust, self.callers, clock)
        self.commanding: Commanding = Commanding(config, lambda: self.callers, trust, clock)
        self.security.wake = self.observing.wake
        self.codes: dict[int, int] = {}  # responses by their code
        self.draining: bool = False
        self.admission: Admission | None = None
        self._door = door
        self._config = config
        self._trust = trust
        self.links: list[Link] = links  # what `/.well-known/core` tells
        self._clock = clock

    # -- a request's way

    def take(self, incoming: Incoming, *, crowded: bool) -> None:
        """Serve a request; `crowded` tells that its peer, or all together, have too many under way."""
        try:
            if crowded or self.draining:
                self.counters["overloaded"] += 1
                raise CoapError("too many requests are under way", c.UNAVAILABLE)  # noqa: TRY301 (one way out)
            self._take(incoming)
        except CoapError as error:
            self._refuse(incoming, error)
        except Exception:  # the outermost edge: one broken request must not end the gateway
            log.exception("a request failed inside the node")
            self.counters["failed"] += 1
            self._send(incoming, Answer(c.SERVER_ERROR, [], b"the node failed"))

    def _refuse(self, incoming: Incoming, error: CoapError) -> None:
        if error.answer == c.BAD_OPTION and not incoming.confirmable and not incoming.way.reliable:
            incoming.way.reject(incoming)  # [RFC 7252 §5.4.1]
            return
        answer = error_answer(error, self._config.retry_after, self._config.blocks.body)
        if incoming.secured is None and incoming.message.get(opt.OSCORE) is not None and not answer.options:
            answer.options.append(
                (opt.MAX_AGE, b"")
            )  # nobody keeps what anybody could have said [RFC 8613 §8.2]
        self._send(incoming, answer)

    def _take(self, incoming: Incoming) -> None:
        if incoming.message.get(opt.OSCORE) is not None and not self.security.open(incoming):
            return
        message = incoming.message
        method = METHODS.get(message.code)
        if method is None:
            raise CoapError(f"there is no method {message.code >> 5}.{message.code:02}", c.METHOD_NOT_ALLOWED)
        incoming.method = method
        asked = incoming.asked = asked_of(message, bert=incoming.way.bert)
        if asked.host is not None:
            self._check_host(asked.host)
        if asked.echo is not None:
            self._trust.repeated(incoming.key, asked.echo, incoming.now)
        if asked.segments == WELL_KNOWN:
            self._discover(incoming)
        elif asked.block2 is not None and asked.block2.number and self._sent_further(incoming):
            return
        elif not self._crowded(incoming) and (body := self._body(incoming)) is not None:
            self._dispatch(incoming, body)

    def _crowded(self, incoming: Incoming) -> bool:
        """Refuse a request that there is no room for now, before a block of it is kept [RFC 8516]."""
        admission = self.admission
        if admission is None or not admission.asks:
            return False
        caller, route = self.callers.of(incoming)[1].id, ("coap", incoming.method, _path(incoming))
        found = admission.refuse(caller, route, len(incoming.message.payload), incoming.now)
        if found is None:
            return False
        code = c.UNAVAILABLE if found.busy else c.TOO_MANY_REQUESTS
        after = [(opt.MAX_AGE, uint_bytes(found.after))]
        self._send(incoming, Answer(code, after, found.detail.encode()))
        return True

    def _check_host(self, host: str) -> None:
        allowed = self._config.hosts
        if allowed and host not in allowed and host not in _OWN_NAMES:
            self.counters["denied"] += 1
            raise CoapError(f"this node does not serve the host {host[:100]!r}", c.NO_PROXY)

    def _discover(self, incoming: Incoming) -> None:
        """Answer what the node serves [RFC 6690]."""
        asked = incoming.asked
        if incoming.method != "GET":
            raise CoapError("/.well-known/core serves GET", c.METHOD_NOT_ALLOWED)
        if asked.accept not in {None, link_format.FORMAT}:
            raise CoapError("links are application/link-format, 40", c.NOT_ACCEPTABLE)
        self.callers.check(incoming, Action.REQUEST, "GET /.well-known/core")
        found = link_format.filtered(self.links, asked.queries)
        answer = Answer(c.CONTENT, [(opt.CONTENT_FORMAT, bytes((link_format.FORMAT,)))])
        answer.payload = link_format.written(found).encode()
        self._send(incoming, tag(answer, asked.etags, self._config.etag_from))

    def _sent_further(self, incoming: Incoming) -> bool:
        """Send a later block of an answer; False where it is not kept and can be made again."""
        kept = self.cutter.further(incoming, incoming.now)
        if kept is not None:
            self._send(incoming, kept)
        elif incoming.method != "GET":
            raise CoapError("the response that this block is of is not kept any more", c.INCOMPLETE)
        return kept is not None

    def _body(self, incoming: Incoming) -> bytes | None:
        """Return the whole payload; None where further blocks of it are to come."""
        asked, payload, limit = incoming.asked, incoming.message.payload, self._config.blocks.body
        block = asked.block1
        if block is None:
            if len(payload) > limit:
                raise CoapError(f"a body may have {limit} bytes", c.TOO_LARGE)
            return payload
        key = self.cutter.key(incoming)
        body = self.assemblies.add(key, block, payload, asked.size1, incoming.now)
        if body is None:
            self._send(incoming, Answer(c.CONTINUE, [(opt.BLOCK1, _accepted(block, incoming).encode())]))
        return body

    def _dispatch(self, incoming: Incoming, body: bytes) -> None:
        asked, way = incoming.asked, incoming.way
        request = self._request(incoming, body)
        if asked.conditional:
            self._check_conditions(incoming, request)
        observer = None
        if asked.observe is not None and incoming.method in SAFE and not incoming.quiet:
            if asked.observe == OBSERVE:
                observer = self.observing.begin(incoming, request)
            elif asked.observe == CANCEL:
                self.observing.end(incoming)
        ticket = self._door.request(request)
        if ticket.done:
            self._finish(incoming, ticket, observer)
        else:
            way.hold(incoming)
            ticket.on_done = lambda done: self._finish(incoming, done, observer)

    def _request(self, incoming: Incoming, body: bytes) -> Request:
        asked = incoming.asked
        headers: dict[str, str] = {}
        if asked.content_format is not None:
            headers["content-type"] = MEDIA.get(asked.content_format, f"coap/{asked.content_format}")
        if asked.accept is not None:
            if asked.accept not in MEDIA:
                raise CoapError(
                    f"the content format {asked.accept} is none that is written", c.NOT_ACCEPTABLE
                )
            headers["accept"] = MEDIA[asked.accept].partition(";")[0]
        path = _path(incoming)
        query = "&".join([_query(one) for one in asked.queries])
        sender = self.callers.check(incoming, Action.REQUEST, f"{incoming.method} {path}")
        self.commanding.heard(incoming, sender.id)
        return Request(incoming.method, path, query, headers, body, sender, incoming.now)

    def _check_conditions(self, incoming: Incoming, request: Request) -> None:
        """Ask the path's GET function whether the resource is as the sender thinks [RFC 7252 §5.10.8].

        Raises:
            CoapError: 4.12, it is not; 4.02, there is no GET function; 5.01, it does not answer at once.
        """
        asked = incoming.asked
        get = Request("GET", request.path, request.query, {}, b"", request.sender, request.read_at)
        ticket = self._door.request(get)
        if not ticket.done:
            raise CoapError("the path's GET does not answer at once: no condition", c.NOT_IMPLEMENTED)
        if ticket.refusal is None and ticket.reply is not None and ticket.reply.status == 405:
            raise CoapError("a condition needs a GET of the same path", c.BAD_OPTION)
        if not ticket.matched:
            return  # nothing serves this path: that is told
        found = tag(answer_of(ticket, "GET", self._config.retry_after), [], 0)
        etags = {value for number, value in found.options if number == opt.ETAG}
        fits = found.good and (b"" in asked.if_match or bool(etags.intersection(asked.if_match)))
        if (asked.if_match and not fits) or (asked.if_none_match and found.good):
            raise CoapError("the resource is not as the condition says", c.PRECONDITION_FAILED)

    def _finish(self, incoming: Incoming, ticket: Ticket, observer: Observer | None) -> None:
        """Answer a request whose ticket is done."""
        asked, config = incoming.asked, self._config
        answer = answer_of(ticket, incoming.method, config.retry_after)
        if asked.accept is not None and incoming.method in SAFE and answer.code == c.CONTENT:
            answer = _acceptable(answer, asked.accept)
        if observer is None:
            self._send(incoming, tag(answer, asked.etags, config.etag_from))
            return
        if answer.code == c.CONTENT:
            whole = answer
            answer = tag(answer, asked.etags, config.etag_from)
            self.observing.add(observer, answer, self._clock())
            observer.request.last = hash((whole.code, whole.payload))
        else:
            observer.stop()
        self._send(incoming, answer)

    def _send(self, incoming: Incoming, answer: Answer) -> None:
        """Send an answer, or what of it fits."""
        try:
            options, payload = self.cutter.cut(incoming, answer, self._clock())
        except CoapError as error:
            answer = error_answer(error, self._config.retry_after, self._config.blocks.body)
            options, payload = answer.options, answer.payload
        code = answer.code
        self.codes[code] = self.codes.get(code, 0) + 1
        unwanted = incoming.asked.no_response & 1 << (code >> 5) - 1
        if unwanted or (incoming.quiet and (not answer.good or not answer.payload)):
            self.counters["unanswered"] += 1
            incoming.way.drop(incoming)
        else:
            incoming.way.respond(incoming, code, options, payload)


def _accepted(block: Block, incoming: Incoming) -> Block:
    """Return the block that a further one is asked for with: as large as the peer's, or as we like them."""
    return Block(block.number, more=True, szx=block.szx if incoming.way.bert else min(block.szx, 6))


def _path(incoming: Incoming) -> str:
    return "/" + "/".join([_segment(one) for one in incoming.asked.segments])


def _segment(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, "")


def _query(text: str) -> str:
    name, equals, value = text.partition("=")
    return quote(name, "") + equals + quote(value, "")


def _acceptable(answer: Answer, accept: int) -> Answer:
    """Return the answer if it is of the format that was asked for [RFC 7252 §5.10.4]."""
    number = next((uint(value) for number, value in answer.options if number == opt.CONTENT_FORMAT), None)
    if number == accept or not answer.payload:
        return answer
    return Answer(c.NOT_ACCEPTABLE, [], b"the reply has another content format")
