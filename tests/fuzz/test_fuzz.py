"""A few hundred conversations of broken bytes with each gateway: `./dev soak fuzz` has more of them.

What must hold: no crash, no hang, nothing without an end, a goodbye in the protocol's own words, and nobody
else notices.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from tests.conformance.house import Client, House, opened

from rimward.protocols.mqtt import ServerSession

from .app import app
from .goodbyes import check_coap, check_http, check_mqtt, check_websocket
from .mutations import Writes, anything, corpus, mutated
from .talking import exchange, talk

MQTT, HTTP, COAP, WEBSOCKET = (corpus(name) for name in ("mqtt", "http", "coap", "websocket"))
over_sockets = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Place:
    """A node, its ports, and a client that is there all the time."""

    def __init__(self, house: House, witness: Client, coap: int) -> None:
        self.house, self.witness, self.coap = house, witness, coap
        self._asked = 0

    async def _read(self, text: bytes) -> None:
        while (await self.witness.message()).payload != text:
            pass

    async def nobody_noticed(self) -> None:
        """Make sure that the witness is served, and that nothing else is left of what has hung up."""
        self._asked += 1
        text = b"%d" % self._asked
        reading = asyncio.ensure_future(self._read(text))
        while not reading.done():  # draws hold the loop up, and then QoS 0 is refused
            self.witness.publish("witness", text)
            await asyncio.wait({reading}, timeout=1.0)
        await reading
        await self.house.until(lambda: self.house.node.mqtt.stats()["connections"] == 1)
        assert self.house.node.mqtt.stats().get("internal_errors", 0) == 0


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    async with opened(tmp_path, app) as house:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        await house.node.coap.serve(sock)
        witness = await house.connect("witness")
        await witness.subscribe("witness")
        yield Place(house, witness, sock.getsockname()[1])


@given(mutated(MQTT) | anything())
def test_a_session_answers_any_bytes_by_packets_that_a_server_may_send(writes: Writes) -> None:
    session = ServerSession(0.0)
    for data in writes:
        for packet in session.receive_data(data, 0.0):
            if type(packet).__name__ == "Connect" and not session.closed:
                session.accept()
    check_mqtt(session.data_to_send())


@over_sockets
@given(mutated(MQTT) | anything())
async def test_mqtt_takes_any_bytes(place: Place, writes: Writes) -> None:
    check_mqtt(await talk(place.house.port, writes))
    await place.nobody_noticed()


@over_sockets
@given(mutated(HTTP) | anything())
async def test_http_takes_any_bytes(place: Place, writes: Writes) -> None:
    answer = await talk(place.house.web, writes)
    check_http(answer, head=b"HEAD" in b"".join(writes))
    await place.nobody_noticed()


@over_sockets
@given(mutated(WEBSOCKET))
@example([b"".join(WEBSOCKET[0])])
async def test_websocket_takes_any_bytes(place: Place, writes: Writes) -> None:
    check_websocket(await talk(place.house.web, writes))
    await place.nobody_noticed()


@over_sockets
@given(mutated(COAP) | anything())
async def test_coap_takes_any_datagrams(place: Place, writes: Writes) -> None:
    for answer in await exchange(place.coap, [data[:1400] for data in writes]):
        check_coap(answer)
    await place.nobody_noticed()


@pytest.mark.parametrize("seeds", [MQTT, HTTP, COAP, WEBSOCKET], ids=["mqtt", "http", "coap", "websocket"])
def test_every_conversation_of_the_corpus_is_small_and_is_read(seeds: list[Writes]) -> None:
    assert len(seeds) >= 3
    assert all(writes and sum(map(len, writes)) < 4096 for writes in seeds)
