"""CloudEvents at the door: what a message or request carries, and how one that a function returns goes back.

Functions get the event's data as their payload and its attributes as their `Event`. What says that it is an
event and breaks a rule is a bad payload, before any function sees it.
"""

from typing import Any, cast

from rimward.app import Reply as Wanted
from rimward.edge.dispatch.encodings import MediaTypeError, encode_reply, encoding_of
from rimward.edge.dispatch.failures import bad_payload
from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.ports import Listeners
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Message, Reply, Request
from rimward.edge.dispatch.work import Work
from rimward.events import CloudEvent, CloudEventError, to_ns
from rimward.events.cloudevents import (
    STRUCTURED,
    from_http,
    from_mqtt,
    is_structured,
    to_http,
    to_structured,
)

MAX_ID = 1024  # characters: an id is written into every row that its event leaves
_NS = range(-(1 << 63), 1 << 63)  # what a row's time can be


def carry_message(message: Message, work: Work) -> None:
    """Put the event that an MQTT 5 message carries into its work.

    Raises:
        BadPayloadError: it says that it is an event and breaks a rule.
    """
    if message.attributes or is_structured(message.content_type):
        _check_format(message.content_type)
        try:
            event = from_mqtt(message.content_type, message.attributes, message.payload)
        except CloudEventError as error:
            raise BadPayloadError(f"CloudEvent: {error}") from None
        _carry(event, work)


def carry_request(request: Request, work: Work) -> None:
    """Put the event that an HTTP request carries into its work.

    Raises:
        BadPayloadError: it says that it is an event and breaks a rule.
    """
    headers = request.headers
    if "ce-specversion" in headers or is_structured(work.content_type):
        _check_format(work.content_type)
        try:
            event = from_http(work.content_type, headers, request.body)
        except CloudEventError as error:
            raise BadPayloadError(f"CloudEvent: {error}") from None
        _carry(event, work)


def reply_of(result: Any, work: Work) -> Reply:
    """Return what a function returned as a reply; an event keeps its form for MQTT, whose versions differ.

    Raises:
        TypeError: it has no form in the encoding asked for.
        CloudEventError: it is an event whose data are not what they say.
    """
    value = cast("Wanted[Any]", result).value if isinstance(result, Wanted) else result
    if not isinstance(value, CloudEvent):
        return encode_reply(result, work.encoding)
    if work.protocol in {"http", "coap", "ws"}:
        structured = work.structured or work.protocol != "http"  # the others have no fields for attributes
        carried = to_structured(value) if structured else to_http(value)
        reply = Reply(carried.body, content_type=carried.content_type, headers=carried.fields)
    else:
        reply = Reply(event=value)
    if isinstance(result, Wanted):
        reply.headers = {name.lower(): text for name, text in result.headers.items()} | reply.headers
        reply.status = result.status or reply.status
    return reply


def wants_structured(accept: str | None) -> bool:
    """Tell whether an `Accept` names the JSON event format."""
    if accept is None or STRUCTURED not in accept.lower():
        return False
    ranges = [text.partition(";") for text in accept.lower().split(",")]
    return any(
        media.strip() == STRUCTURED and rest.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
        for media, _, rest in ranges
    )


def refuse(tracing: Tracing, listeners: Listeners, work: Work, error: BadPayloadError, now: int) -> None:
    """Refuse and bury, once, what says that it is an event and is none."""
    if listeners.bounds:
        bad_payload(tracing, listeners.bounds[0][0].run, work, error, now)
        return
    work.error = "payload"
    work.refuse(error.kind, str(error))
    work.bury(error.kind, str(error), listeners.streams[0].stream.name)


def _check_format(content_type: str | None) -> None:
    """Refuse batches and formats that are not JSON."""
    if content_type is None or not is_structured(content_type):
        return
    if content_type.partition(";")[0].strip().lower() != STRUCTURED or encoding_of(content_type) is None:
        raise MediaTypeError(
            f"the content type {content_type[:100]!r} can't be read; send one event as {STRUCTURED} in UTF-8"
        )


def _carry(event: CloudEvent | None, work: Work) -> None:
    if event is None:
        return
    if len(event.id) > MAX_ID:
        raise BadPayloadError(f"CloudEvent: id has {len(event.id)} characters, the limit is {MAX_ID}")
    if event.time is not None and to_ns(event.time) not in _NS:
        raise BadPayloadError(f"CloudEvent: time is {event.time.isoformat()}, it must be in 1678 to 2261")
    work.carried = event
    work.data = event.data or b""
    work.content_type = event.datacontenttype
    work.encoding = encoding_of(event.datacontenttype) or "json"
    trace = event.extensions.get("traceparent")
    if isinstance(trace, str):
        work.traceparent = trace
