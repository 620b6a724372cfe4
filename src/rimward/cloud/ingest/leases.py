# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""Leases of shares, in a key-value bucket of the bus: who pulls whose rows.

A lease that was not renewed for a while is dead, and whoever wants it takes it: by the bus's compare-and-set
one gets it. No clock is compared, and nothing rests on it: two live owners are only slow (ADR 71).
"""

import secrets
from collections.abc import Callable

import nats.js.errors
from msgspec import Struct
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType
from nats.js.kv import KeyValue

from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.ingest")

BUCKET = "ingest"
BEAT = 0.5  # seconds between two renewals
DEAD = 2.0  # seconds without one, after which a share's own process takes it
DEAD_FOR_OTHERS = 4.0  # and after which any other does


class _Watched(Struct):
    revision: int
    since: float  # monotonic: when this process saw that revision first


class Leases:
    """The shares that this process holds: its own, and those whose process is dead."""

    def __init__(self, own: int, shares: int, now: Callable[[], float]) -> None:
        """`own` is the share that this process is for; `now` is monotonic, seconds."""
        self._own = own
        self._shares = shares
        self._now = now
        self._name = secrets.token_hex(8).encode()
        self._watched: dict[int, _Watched] = {}
        self._held: dict[int, int] = {}  # the revision of each
        self.lost: int = 0  # leases that another process has taken

    @property
    def held(self) -> frozenset[int]:
        """The shares that are this process's now."""
        return frozenset(self._held)

    async def open(self, js: JetStreamContext) -> KeyValue:
        """Return the bucket; it is made where the bus has lost it."""
        self._held.clear()
        self._watched.clear()
        return await js.create_key_value(KeyValueConfig(bucket=BUCKET, storage=StorageType.MEMORY))

    async def beat(self, bucket: KeyValue) -> None:
        """Renew what is held, take what is dead, and give back what its own process wants."""
        for share in range(self._shares):
            if share in self._held:
                await self._renew(bucket, share)
            else:
                await self._try(bucket, share)

    async def _renew(self, bucket: KeyValue, share: int) -> None:
        if share != self._own and await _revision(bucket, f"want.{share}"):
            await self._release(bucket, share)
            return
        try:
            self._held[share] = await bucket.update(f"share.{share}", self._name, last=self._held[share])
        except nats.js.errors.KeyWrongLastSequenceError:
            del self._held[share]
            self.lost += 1
            log.warning("another process has taken a share of the nodes", share=share)

    async def _try(self, bucket: KeyValue, share: int) -> None:
        now, revision = self._now(), await _revision(bucket, f"share.{share}")
        seen = self._watched.get(share)
        if seen is None or seen.revision != revision:
            seen = self._watched[share] = _Watched(revision, now)
        if share == self._own:
            if revision:
                await bucket.put(f"want.{share}", self._name)
            wait = DEAD if revision else 0.0
        else:
            wait = DEAD_FOR_OTHERS
        if now - seen.since < wait:
            return
        key = f"share.{share}"
        try:
            if revision:
                self._held[share] = await bucket.update(key, self._name, last=revision)
            else:
                self._held[share] = await bucket.create(key, self._name)
        except nats.js.errors.KeyWrongLastSequenceError:
            return
        if share == self._own:
            await bucket.delete(f"want.{share}")
        else:
            log.warning("the process of a share of the nodes is dead; this one takes it", share=share)

    async def release(self, bucket: KeyValue) -> None:
        """Give everything back, so that a successor need not wait."""
        for share in list(self._held):
            await self._release(bucket, share)

    async def _release(self, bucket: KeyValue, share: int) -> None:
        del self._held[share]
        self._watched.pop(share, None)
        await bucket.delete(f"share.{share}")


async def _revision(bucket: KeyValue, key: str) -> int:
    """Return a key's revision; 0 where it is not there, as a compare-and-set wants it."""
    try:
        return (await bucket.get(key)).revision or 0
    except (nats.js.errors.KeyDeletedError, nats.js.errors.KeyNotFoundError):
        return 0
