"""Retained messages on their way to new subscribers, to each as fast as it reads and acknowledges them.

What is retained may be far more than may wait for one reader, so it is fetched piece by piece. A message that
was replaced meanwhile is left out: the subscriber has got the later one.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from rimward.edge.gateways.mqtt.identifying import may_receive
from rimward.protocols.mqtt import Subscription, TopicTree
from rimward.protocols.mqtt.outgoing import Outgoing

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.subscriber import Subscriber

PIECE = 32 << 10  # bytes of output after which it is written and others have their turn


class _Replay:
    """What one subscriber still gets."""

    __slots__ = ("filter", "identifier", "messages", "qos", "scheduled", "wishes")

    def __init__(self) -> None:
        self.wishes: dict[str, Subscription] = {}  # by filter; their messages are not looked up yet
        self.filter = ""  # of the present one
        self.qos = 0
        self.identifier = 0
        self.messages: list[Outgoing] = []  # of the present one, the next at the end
        self.scheduled = False  # it goes on by itself


class Replays:
    """The replays that are not at their end, by subscriber."""

    def __init__(self, retained: TopicTree[Outgoing]) -> None:
        self.waiting: dict[Subscriber, _Replay] = {}
        self._retained = retained

    def add(self, subscriber: "Subscriber", wish: Subscription) -> None:
        """Take on a subscription [3.3.1.3]; `go_on` sends its messages."""
        self.waiting.setdefault(subscriber, _Replay()).wishes[wish.filter] = wish

    def drop(self, subscriber: "Subscriber", topic_filter: str) -> None:
        """Leave out what was not sent for a subscription that has ended."""
        replay = self.waiting.get(subscriber)
        if replay is not None:
            replay.wishes.pop(topic_filter, None)
            if replay.filter == topic_filter:
                replay.messages.clear()

    def forget(self, subscriber: "Subscriber") -> None:
        """Leave out everything."""
        self.waiting.pop(subscriber, None)

    def review(self, subscriber: "Subscriber", unwanted: Callable[[Outgoing], bool]) -> int:
        """Leave out what the subscriber is not to get; return how many messages were looked at."""
        replay = self.waiting.get(subscriber)
        if replay is None:
            return 0
        looked = len(replay.messages)
        replay.messages = [one for one in replay.messages if not unwanted(one)]
        return looked

    def go_on(self, subscriber: "Subscriber", now: float) -> None:
        """Send what the subscriber takes now; to be called again when it has read or acknowledged."""
        replay, connection = self.waiting.get(subscriber), subscriber.connection
        if replay is None or replay.scheduled or connection is None:
            return
        session = connection.session
        while not session.closed and self._has_more(subscriber, replay):
            if session.out_size >= PIECE:
                if not session.over:
                    connection.write()
                if not session.out:  # else its reader is behind
                    replay.scheduled = True
                    asyncio.get_running_loop().call_soon(self._again, subscriber, now)
                return
            outgoing = replay.messages[-1]
            qos = min(replay.qos, outgoing.qos)
            if qos and not subscriber.has_window:
                break
            replay.messages.pop()
            if not outgoing.is_expired(now) and self._is_current(outgoing):
                if replay.identifier:
                    outgoing = outgoing.marked((replay.identifier,))
                subscriber.deliver(outgoing, qos, now, retain=True)
        else:
            self.forget(subscriber)
        if session.over:
            connection.wake()  # what came before the end is answered first
        else:
            connection.write()

    def _again(self, subscriber: "Subscriber", now: float) -> None:
        replay = self.waiting.get(subscriber)
        if replay is not None:
            replay.scheduled = False
            self.go_on(subscriber, now)

    def _has_more(self, subscriber: "Subscriber", replay: _Replay) -> bool:
        while not replay.messages and replay.wishes:
            replay.filter, wish = next(iter(replay.wishes.items()))
            del replay.wishes[replay.filter]
            replay.qos, replay.identifier = wish.qos, wish.identifier
            found = self._retained.find(replay.filter)
            replay.messages = [one for one in found if may_receive(subscriber, one.topic[2:].decode())]
            replay.messages.reverse()
        return bool(replay.messages)

    def _is_current(self, outgoing: Outgoing) -> bool:
        return self._retained.get(outgoing.topic[2:].decode()) is outgoing
