"""Messages of the bus as envelopes; what can't be read is known by its subject and its id.

The subject alone says whose rows they are: the bus polices it. The range of an envelope that can't be read is
its id's word, which its node wrote as it writes the header inside (docs/adr/0017).
"""

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct
from nats.aio.msg import Msg

from rimward.cloud.ingest.buckets import parse_stored
from rimward.cloud.ingest.envelopes import Envelope
from rimward.observe import Logger, get_logger
from rimward.wire import (
    DamagedError,
    EnvelopeError,
    Header,
    Lane,
    parse_message_id,
    parse_prior,
    unseal,
)

log: Logger = get_logger("rimward.hub")

OVERHEAD = 1024  # bytes of a message's subject, headers and objects
DAMAGED_KEPT = 1024  # ranges whose first copy was damaged


class Arrival(Struct):
    """An envelope and the message that brought it."""

    message: Msg
    envelope: Envelope
    priority: str = "normal"  # by whose stream it came

    @property
    def rows(self) -> int:
        """How many rows it brings; a record of a loss brings none and may name millions."""
        header = self.envelope.header
        return 1 if header.lost is not None else header.last - header.first + 1

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits, about."""
        unreadable = self.envelope.unreadable
        return len(self.envelope.rows) + (0 if unreadable is None else len(unreadable[1])) + OVERHEAD


class Reading:
    """Reads uploads and counts what is wrong with them."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.counts: Counter[str] = Counter()  # since whoever writes them down last emptied it
        self._now = now  # wall ns
        self._damaged: dict[tuple[Lane, int], int] = {}  # (lane, first): the attempt that came damaged

    def sort(self, messages: Iterable[Msg]) -> tuple[dict[str, list[Arrival]], list[Msg]]:
        """Return envelopes by the table they end in, and the messages that bring none and are done with."""
        by_fact: dict[str, list[Arrival]] = {}
        done: list[Msg] = []
        for message in messages:
            try:
                _, lane = parse_stored(message.subject)
                envelope = self._read(lane, message)
            except ValueError as error:
                self.counts["poison"] += 1
                log.error("a message is no upload", subject=message.subject, error=str(error))  # noqa: TRY400 (the sentence says it all)
                envelope, lane = None, None
            if lane is None or envelope is None:
                done.append(message)
            else:
                by_fact.setdefault(lane.table, []).append(Arrival(message, envelope))
        return by_fact, done

    def _read(self, lane: Lane, message: Msg) -> Envelope | None:
        """Return an envelope; None for a first damaged copy, which its node sends again.

        Raises:
            ValueError: nothing says which rows it is about.
        """
        try:
            header, rows = unseal(message.data)
        except DamagedError as error:
            return self._damage(lane, message, error)
        except EnvelopeError as error:
            return self._unreadable(lane, message, error)
        return Envelope(lane, header, rows, self._now())

    def _damage(self, lane: Lane, message: Msg, error: EnvelopeError) -> Envelope | None:
        said = parse_message_id(lane, (message.headers or {}).get("Nats-Msg-Id", ""))
        self.counts["damaged"] += 1
        before = self._damaged.get((lane, said.first))
        if before is not None and before != said.attempt:
            del self._damaged[lane, said.first]
            return self._unreadable(lane, message, error)
        if len(self._damaged) >= DAMAGED_KEPT:
            self._damaged.clear()
        self._damaged[lane, said.first] = said.attempt
        log.warning("an envelope was damaged on its way", fact=lane.fact, node=lane.node)
        return None

    def _unreadable(self, lane: Lane, message: Msg, error: EnvelopeError) -> Envelope:
        headers = message.headers or {}
        said = parse_message_id(lane, headers.get("Nats-Msg-Id", ""))
        prior, nonce = parse_prior(headers.get("Rw-Prior", ""))
        self.counts["poison"] += 1
        log.error("an envelope can't be read", fact=lane.fact, node=lane.node, error=str(error))
        header = Header("", "", said.first, said.last, 0, "", "", said.attempt, None, prior, nonce)
        return Envelope(lane, header, b"", self._now(), (str(error), message.data))
