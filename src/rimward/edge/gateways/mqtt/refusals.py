"""How refusals are said in MQTT, by the table of `rimward.events.refusals`.

MQTT 5 has a reason code and a reason string with the detail. MQTT 3.1.1 has neither: what can never succeed
is acknowledged and in the dead letters; what may be taken later is withheld, and the connection is closed.
QoS 0 can't be told; it is counted.
"""

from rimward.edge.dispatch.types import Refusal
from rimward.events import REFUSALS
from rimward.protocols.mqtt import Reason


def puback_reason(refusal: Refusal) -> Reason:
    """Return a refusal's reason code."""
    return Reason(REFUSALS[refusal.kind].mqtt5)


def is_buried(refusal: Refusal, version: int, qos: int) -> bool:
    """Tell whether a message goes to the dead letters: always, or where its sender can't be told."""
    dead = REFUSALS[refusal.kind].dead
    return dead == "yes" or (dead == "3.1.1 only" and version == 4 and qos > 0)


def may_succeed_later(refusal: Refusal) -> bool:
    """Tell whether the same message may be taken when it is sent again."""
    return REFUSALS[refusal.kind].later
