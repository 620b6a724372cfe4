"""Gateways say no before the process is out of file descriptors."""

import resource

import pytest

from rimward.edge.gateways.descriptors import RESERVE, allowed
from rimward.protocols.mqtt import Reason

from .mqtt_support import serving


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the process the limits [soft, hard] that stand in the list."""
    now = [RESERVE + 8, RESERVE + 8]

    def get(_: int) -> tuple[int, int]:
        return now[0], now[1]

    def set_soft(_: int, pair: tuple[int, int]) -> None:
        now[0] = pair[0]

    monkeypatch.setattr(resource, "getrlimit", get)
    monkeypatch.setattr(resource, "setrlimit", set_soft)
    return now


def test_a_gateway_takes_its_share_and_no_more_than_it_is_configured_for(limits: list[int]) -> None:
    limits[:] = [RESERVE + 1000, RESERVE + 1000]
    assert allowed(20_000, 0.75) == 750
    assert allowed(10, 0.75) == 10


def test_the_soft_limit_is_raised_as_far_as_is_needed_and_allowed(limits: list[int]) -> None:
    limits[:] = [256, RESERVE + 4000]
    assert allowed(1000, 0.5) == 1000
    assert limits[0] == RESERVE + 2000
    assert allowed(10_000, 0.5) == 2000
    assert limits[0] == RESERVE + 4000


@pytest.mark.usefixtures("limits")
async def test_a_client_beyond_the_descriptors_is_told_that_the_server_is_busy() -> None:
    async with serving() as site:
        for n in range(6):
            client = await site.client(f"c{n}")
            assert client.connack.reason == 0
        refused = await site.client("one too many")
        assert refused.connack.reason == Reason.SERVER_BUSY
