"""An envelope as it is given to the bus: where it goes, what the bus may read of it, and its bytes."""

from msgspec import Struct

from rimward.wire.envelope import Sealer
from rimward.wire.source import Segment, seal
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
        payload = seal(
            segment, site=self._site, boot=self._boot, attempt=attempt, now=now, sealer=self._sealer
        )
        headers = {
            "Nats-Msg-Id": message_id(lane, segment.first, segment.last, self._boot, attempt),
            "Rw-Prior": prior_text(segment.prior, segment.prior_nonce),
        }
        return Upload(up_subject(self._region, segment.priority, lane), payload, headers)
