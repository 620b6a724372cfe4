"""How each protocol says that a message was refused: the one table that gateways and docs/errors.md use."""

from msgspec import Struct


class Words(Struct, frozen=True):
    """One kind of refusal, in each protocol's words."""

    when: str  # in docs/errors.md
    http: int  # status
    mqtt5: int  # reason code of the PUBACK
    mqtt5_name: str
    coap: str  # response code
    sip: int  # status
    dead: str  # which messages go to the dead letters: "yes", "no", or "3.1.1 only"
    later: bool = False  # the same message may be taken later: MQTT 3.1.1 withholds the acknowledgement


REFUSALS: dict[str, Words] = {
    "payload": Words(
        "the payload, a capture or a query parameter does not fit its type",
        422, 0x99, "payload format invalid", "4.22", 400, "yes",
    ),
    "media-type": Words(
        "the content type is none that can be read", 415, 0x99, "payload format invalid", "4.15", 415, "yes"
    ),
    "not-acceptable": Words(
        "`Accept` names nothing that the reply can be written as",
        406, 0x83, "implementation specific", "4.06", 406, "no",
    ),
    "topic": Words(
        "the topic can't be published to", 400, 0x90, "topic name invalid", "4.00", 400, "yes"
    ),
    "invalid": Words(
        '`Reject("invalid")`', 400, 0x83, "implementation specific", "4.00", 400, "3.1.1 only"
    ),
    "denied": Words('`Reject("denied")`', 403, 0x87, "not authorized", "4.03", 403, "3.1.1 only"),
    "not-found": Words(
        '`Reject("not-found")`, or no such path',
        404, 0x83, "implementation specific", "4.04", 404, "3.1.1 only",
    ),
    "conflict": Words(
        '`Reject("conflict")`', 409, 0x83, "implementation specific", "4.09", 409, "3.1.1 only"
    ),
    "failed": Words(
        "any other exception", 500, 0x83, "implementation specific", "5.00", 500, "yes"
    ),
    "running": Words(
        '`mode="single"`, and a call still runs', 409, 0x83, "implementation specific", "4.09", 486, "no"
    ),
    "replaced": Words(
        '`mode="restart"`, and a newer event came', 409, 0x83, "implementation specific", "4.09", 487, "no"
    ),
    "timeout": Words(
        'the function was stopped: over its time with `on_overrun="cut"`, or at its `limit=`',
        504, 0x83, "implementation specific", "5.04", 504, "yes",
    ),
    "busy": Words(
        '`Reject("busy")`, or too many wait for one key',
        503, 0x97, "quota exceeded", "5.03", 486, "no", later=True,
    ),
    "full": Words("the outbox is full", 503, 0x97, "quota exceeded", "5.03", 503, "no", later=True),
}  # fmt: skip
HEAD = "kind | when | HTTP | MQTT 5 PUBACK | MQTT 3.1.1 | CoAP | SIP | dead-lettered"


def markdown() -> str:
    """Return the table as docs/errors.md shows it."""
    lines = [f"| {HEAD} |", "|---" * len(HEAD.split("|")) + "|"]
    for kind, words in REFUSALS.items():
        told = "not acknowledged" if words.later else "acknowledged"
        puback = f"0x{words.mqtt5:02x} {words.mqtt5_name}"
        cells = (f"`{kind}`", words.when, words.http, puback, told, words.coap, words.sip, words.dead)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
