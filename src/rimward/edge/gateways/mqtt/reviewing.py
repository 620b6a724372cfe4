"""What waits for a client is held to what its identity may receive by now [GUARANTEES 7].

A message is queued for who may have it. When the client comes back as somebody who may not, or the access
file says otherwise by then, it is dropped from memory and from disk, and counted.
"""

from typing import TYPE_CHECKING

from rimward.edge.gateways.mqtt.identifying import may_receive
from rimward.protocols.mqtt.outgoing import Outgoing

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.broker import Broker
    from rimward.edge.gateways.mqtt.subscriber import Subscriber


def review(subscriber: "Subscriber", broker: "Broker", now: float) -> int:
    """Drop what a subscriber may not receive any more; return how many messages were looked at.

    What it got as the member of a group goes to another one.
    """
    if subscriber.identity.free or subscriber.ended:
        return 0
    denied: dict[bytes, bool] = {}

    def unwanted(message: Outgoing) -> bool:
        topic = message.topic
        known = denied.get(topic)
        if known is None:
            known = denied[topic] = not may_receive(subscriber, topic[2:].decode())
        return known

    looked = subscriber.waiting + broker.replays.review(subscriber, unwanted)
    dropped = subscriber.withhold(unwanted)
    if dropped:
        broker.count("dropped_denied", len(dropped))
        entries = broker.hand_on(dropped, now)
        if entries:
            broker.store.disk.keep(entries)
    return looked
