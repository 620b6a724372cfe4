"""Whether a connection still carries anything: half-dead ones are dropped, slow ones are not.

On a slow link the answer to a PING waits behind envelopes, ours and the kernel's; so long as those get fewer
the link works. TCP alone proves little: a proxy in between takes bytes for a peer that is gone.
"""

SILENCE = 10.0  # seconds without a byte from the bus while an answer is due, and without a slow link's excuse
PATIENCE = 60.0  # the same with that excuse
QUEUE = 4096  # bytes that wait in the kernel, from which on the link counts as slow


class Liveness:
    """What came back from the bus, and what the link still has to carry."""

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._moved_at = now
        self._queued = 0

    def heard(self, now: float) -> None:
        """Note that something came from the bus."""
        self._heard_at: float = now

    def queued(self, size: int, now: float) -> None:
        """Note the bytes that wait for the link; fewer than before, of many, is a link that works."""
        if size < self._queued and size >= QUEUE:
            self._moved_at: float = now
        self._queued: int = size

    def dead(self, now: float) -> bool:
        """Tell whether to drop the connection; an answer must be due all the time, such as a PING's."""
        silent = now - self._heard_at
        return silent > PATIENCE or (silent > SILENCE and now - self._moved_at > SILENCE)
