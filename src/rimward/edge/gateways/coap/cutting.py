"""Answers made into messages: in blocks where they are large, small to those whose address is not known."""

from typing import Any

from rimward.edge.gateways.coap.answers import Answer
from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.coap.incoming import Incoming
from rimward.edge.gateways.coap.trust import Trust
from rimward.protocols.coap import (
    Block,
    Options,
    Representations,
    Served,
    cache_key,
    etag_of,
    slice_of,
    uint_bytes,
)
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.oscore.messages import OVERHEAD

_HEAD = 48  # bytes that head, token and a block's options take at most


class Cutter:
    """Cuts answers into what one message may carry, and keeps the rest for the requests that follow."""

    def __init__(self, config: CoapConfig, trust: Trust) -> None:
        self.kept: Representations = Representations(config.blocks)
        self.counters: dict[str, int] = {"held_small": 0}
        self._config = config
        self._trust = trust

    def cut(self, incoming: Incoming, answer: Answer, now: int) -> tuple[Options, bytes]:
        """Return the options and the payload of the one message that the peer gets now.

        Raises:
            CoapError: 4.00, it has asked for a block behind the end.
        """
        options, payload, asked = list(answer.options), answer.payload, incoming.asked
        room, small = self._room(incoming, options, now)
        if not answer.good:
            payload = payload[:room].decode("utf-8", "ignore").encode() if len(payload) > room else payload
        elif payload and (len(payload) > room or asked.block2 is not None):
            if small and len(payload) > room:
                self.counters["held_small"] += 1
                options.append((opt.ECHO, self._trust.challenge(incoming.key, now)))
            payload = self._slice(incoming, answer, options, room, now)
        if asked.block1 is not None and answer.code != c.CONTINUE:
            block = Block(asked.block1.number, more=False, szx=asked.block1.szx)
            options.append((opt.BLOCK1, block.encode()))
        options.sort(key=lambda option: option[0])
        return options, payload

    def _room(self, incoming: Incoming, options: Options, now: int) -> tuple[int, bool]:
        """Return the bytes of payload that one message may have, and whether distrust makes them few."""
        largest = incoming.way.largest
        if incoming.way.reliable or self._trust.knows(incoming.key, incoming.peer, now):
            return largest, False
        head = _HEAD + OVERHEAD * (incoming.secured is not None) + sum(len(value) + 3 for _, value in options)
        return min(largest, max(self._trust.room(incoming.size) - head, 16)), True

    def _slice(self, incoming: Incoming, answer: Answer, options: Options, room: int, now: int) -> bytes:
        szx = _szx(room, bert=incoming.way.bert)
        wanted = incoming.asked.block2 or Block(0, more=False, szx=szx)
        if wanted.szx > szx:  # the first block may be smaller than asked for [RFC 7959 §2.4]
            wanted = Block(wanted.start // (16 << szx), more=False, szx=szx)
        data, block = slice_of(answer.payload, wanted, room)
        if (block.more or block.number) and all(number != opt.ETAG for number, _ in options):
            options.append((opt.ETAG, etag_of(answer.payload)))
        if block.more and not block.number:
            options.append((opt.SIZE2, uint_bytes(len(answer.payload))))
            kept = [option for option in answer.options if option[0] != opt.OBSERVE]
            self.kept.keep(self.key(incoming), Served(answer.code, kept, answer.payload, now))
        options.append((opt.BLOCK2, block.encode()))
        return data

    def further(self, incoming: Incoming, now: int) -> Answer | None:
        """Return the answer whose later block is asked for, where it is kept."""
        found = self.kept.find(self.key(incoming), now)
        return None if found is None else Answer(found.code, found.options, found.payload)

    @staticmethod
    def key(incoming: Incoming) -> Any:
        """Return what a transfer in blocks is known by."""
        return incoming.key, incoming.sealed_by, cache_key(incoming.message)


def _szx(room: int, *, bert: bool) -> int:
    if bert and room > 1024:
        return 7
    return max(0, min(6, room.bit_length() - 5))
