"""How refusals are said in MQTT (API.md, "Effects").

| kind      | MQTT 5 PUBACK                        | MQTT 3.1.1                              |
|-----------|--------------------------------------|-----------------------------------------|
| payload   | 0x99 payload format invalid          | acknowledged: it is in the dead letters |
| denied    | 0x87 not authorized                  | acknowledged                            |
| topic     | 0x90 topic name invalid              | acknowledged                            |
| invalid   | 0x83 implementation specific error   | acknowledged                            |
| not-found | 0x83 (0x10 would mean: taken)        | acknowledged                            |
| conflict  | 0x83                                 | acknowledged                            |
| failed    | 0x83                                 | acknowledged                            |
| busy      | 0x97 quota exceeded                  | withheld, and the connection is closed  |
| full      | 0x97 quota exceeded                  | withheld, and the connection is closed  |

The reason string carries the detail. QoS 0 can't be told; it is counted.
"""

from rimward.edge.dispatch.types import Refusal
from rimward.protocols.mqtt import Reason

PUBACK_REASONS: dict[str, Reason] = {
    "payload": Reason.PAYLOAD_FORMAT_INVALID,
    "denied": Reason.NOT_AUTHORIZED,
    "topic": Reason.TOPIC_NAME_INVALID,
    "busy": Reason.QUOTA_EXCEEDED,
    "full": Reason.QUOTA_EXCEEDED,
}


def puback_reason(refusal: Refusal) -> Reason:
    """Return a refusal's reason code."""
    return PUBACK_REASONS.get(refusal.kind, Reason.IMPLEMENTATION_SPECIFIC_ERROR)


def may_succeed_later(refusal: Refusal) -> bool:
    """Tell whether the same message may be taken when it is sent again."""
    return refusal.kind in {"busy", "full"}
