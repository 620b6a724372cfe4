"""`rimward send coap` against a gateway, and against nobody."""

import asyncio
import socket
from pathlib import Path

import pytest
from tests.edge.gateways.coap_house import House, coap_house

from rimward.local.asking import CoapAnswer, ask
from rimward.local.errors import DevError
from rimward.protocols.coap import options as opt
from rimward.protocols.coap import request
from rimward.protocols.coap.codes import GET, POST, PUT


async def serve(house: House) -> tuple[str, int]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    address = ("127.0.0.1", int(sock.getsockname()[1]))
    await house.gateway.serve(sock)
    return address


async def test_a_request_is_answered_in_blocks_both_ways(tmp_path: Path) -> None:
    async with coap_house(tmp_path) as house:
        address = await serve(house)

        def answers(
            code: int, path: str, payload: bytes = b"", accept: int | None = None
        ) -> list[CoapAnswer]:
            return list(ask(address, request(code, path, payload, accept=accept), 10))

        body = bytes(range(256)) * 20
        [echo] = await asyncio.to_thread(answers, POST, "/echo", body)
        assert (echo.code, echo.name, echo.format, echo.body) == ("2.04", "Changed", "octets", body)
        [meter] = await asyncio.to_thread(answers, GET, "/meters/7", accept=60)
        assert (meter.format, meter.body[:1]) == ("cbor", b"\xa1")
        [refused] = await asyncio.to_thread(answers, GET, "/nothing")
        assert (refused.code, refused.body) == ("4.04", b"no function serves this path")
        await house.gateway.close(1)


async def test_what_changes_is_shown_while_it_is_observed(tmp_path: Path) -> None:
    async with coap_house(tmp_path) as house:
        address = await serve(house)
        watched = request(GET, "/meters/7", more=[(opt.OBSERVE, b"")])
        shown = ask(address, watched, 10, observe=20)
        first = await asyncio.to_thread(next, shown)
        await asyncio.to_thread(lambda: list(ask(address, request(PUT, "/meters/7", b'{"kwh": 2}'), 10)))
        second = await asyncio.to_thread(next, shown)
        assert [first.body, second.body] == [b'{"kwh":0.0}', b'{"kwh":2.0}']
        shown.close()
        await house.gateway.close(1)


def test_where_nobody_listens_there_is_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DevError, match=r"no answer within 0\.05 s"):
            list(ask(taken.getsockname(), request(GET, "/"), 0.05))
