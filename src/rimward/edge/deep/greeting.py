"""Hello to the hub, at every connection and every few seconds: what it knows, and whether one may send."""

import asyncio
import random
import time

import msgspec
import nats.errors

from rimward.edge.deep.link import Link
from rimward.edge.deep.outgoing import Outgoing
from rimward.network.heeding import heed_cancellation
from rimward.network.ways import Ways
from rimward.observe import Logger, get_logger
from rimward.wire import Welcome, hello_subject

log: Logger = get_logger("rimward.deep")

EVERY = 5.0  # seconds between greetings; half to one and a half of it
QUARANTINED = 30.0  # the same while another outbox of this name is live
ANSWER = 2.0  # seconds that the hub has for its answer: an older one, or one that is busy, gives none
REKEYING = 0.2  # seconds between looks whether the outbox's writer has moved its epochs
REKEY = "rekey"
ERASE = "erase"


class Greeting:
    """Keeps the gate of the uplink by the hub's verdicts; a hub that gives none must not stop it."""

    def __init__(self, out: Outgoing, ways: Ways) -> None:
        self._out = out
        self._ways = ways

    async def run(self, link: Link) -> None:
        """Greet until the connection ends.

        Raises:
            ConnectionError: the outbox's epochs were moved; everything begins anew.
        """
        out = self._out
        while True:
            if out.files.there(REKEY):
                await self._rekeyed()
            welcome = await self._ask(link)
            if welcome is not None:
                self._ways.works()
                self._heed(welcome)
            if out.verdict in ("", "ok"):
                out.gate.set()
            else:
                out.gate.clear()
            if not out.files.there(REKEY):
                await asyncio.sleep(QUARANTINED if out.verdict == "quarantined" else EVERY * _spread())

    async def _ask(self, link: Link) -> Welcome | None:
        """Return the hub's answer; None where there is none, or it can't be read."""
        out = self._out
        hello = out.hello().encode()
        out.core.charge(len(hello), time.monotonic())
        try:
            subject = hello_subject(out.config.region, out.config.node)
            answer = await link.client.request(subject, hello, timeout=ANSWER)
            heed_cancellation()
            return Welcome.decode(answer.data)
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
            return None
        except ValueError:
            out.counts["welcome"] += 1
            return None

    def _heed(self, welcome: Welcome) -> None:
        out, before = self._out, self._out.verdict
        out.verdict = welcome.verdict
        out.hear(welcome.marks, welcome.hub)
        if welcome.erase is not None:
            out.files.write(ERASE, welcome.erase.encode())
        if welcome.verdict == "ok":
            return
        if welcome.verdict != before:
            out.counts[welcome.verdict] += 1
            log.error("the hub takes nothing of this outbox", verdict=welcome.verdict, reason=welcome.reason)
        if welcome.verdict == REKEY:
            out.files.write(REKEY, rekey_text(welcome, dict(out.hello().epochs)))

    async def _rekeyed(self) -> None:
        """Wait until the outbox's writer has moved its epochs.

        Raises:
            ConnectionError: it has.
        """
        out = self._out
        out.gate.clear()
        while out.files.there(REKEY):  # noqa: ASYNC110 (another process removes it)
            await asyncio.sleep(REKEYING)
        out.verdict = ""
        out.close()
        raise ConnectionError("the outbox's epochs were moved")


def rekey_text(welcome: Welcome, epochs: dict[int, int]) -> bytes:
    """Return what the outbox's writer has to do: move epochs with uncommitted rows above a counter.

    `epochs` are the nonces here by counter; those that the hub knows are named as it knows them, with how far
    it has lanes of them: what another disk sent under the same nonce must not come under another number.
    """
    known = {mark.counter: mark.nonce for mark in welcome.marks if mark.counter in epochs}
    return msgspec.json.encode(
        {"above": welcome.highest, "nonces": known | dict(welcome.epochs), "left": welcome.left}
    )


def _spread() -> float:
    return 0.5 + random.random()  # noqa: S311 (so that nodes don't greet at once)
