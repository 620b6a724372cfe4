"""An envelope as it is given to the bus: where it goes, what the bus may read of it, and its bytes."""

from msgspec import Struct

from rimward.wire.envelope import Header, Sealer
from rimward.wire.source import Segment
from rimward.wire.subjects import message_id, prior_text, up_subject

FRAME = 64  # bytes of the bus's own protocol around subject, headers and payload


class Upload(Struct, frozen=True):
    """One message for the bus."""

    subject: str
    payload: bytes
    headers: dict[str, str]

    @property
    def size(self) -> int:
        """The bytes that it takes of the link, those of TCP and below not counted."""
        headers = sum(len(name) + len(value) + 4 for name, value in self.headers.items())
        return FRAME + len(self.subject) + headers + len(self.payload)


class Packer:
    """Seals the segments of one sending process."""

    def __init__(self, *, region: str, site: str, boot: str) -> None:
        self._region = region
        self._site = site
        self._boot = boot
        self._sealer = Sealer()

    def pack(self, segment: Segment, attempt: int, now: int) -> Upload:
        """Return a segment as a message; `now` is the node's wall clock, ns."""
        lane = segment.lane
        headers = {
            "Nats-Msg-Id": message_id(lane, segment.first, segment.last, self._boot, attempt),
            "Rw-Prior": prior_text(segment.prior, segment.prior_nonce),
        }
        subject = up_subject(self._region, segment.priority, lane)
        return Upload(subject, self._seal(segment, attempt, now), headers)

    def _seal(self, segment: Segment, attempt: int, now: int) -> bytes:
        header = Header(
            schema=segment.schema,
            priority=segment.priority,
            first=segment.first,
            last=segment.last,
            sealed_at=now,
            site=self._site,
            boot=self._boot,
            attempt=attempt,
            lost=segment.lost,
            prior=segment.prior,
            prior_nonce=segment.prior_nonce,
        )
        count = 0 if segment.lost else segment.last - segment.first + 1
        return self._sealer.encode(header, count, segment.rows)
