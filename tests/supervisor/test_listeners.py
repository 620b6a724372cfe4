"""Listeners that share a port number."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from rimward_supervisor import listeners
from rimward_supervisor.listeners import TCP, UDP, Address, ListenError, bind, ports

HERE = "127.0.0.1"


@contextmanager
def bound(port: int) -> Generator[dict[str, int]]:
    sockets = bind({"coap": Address(UDP, HERE, port), "coap-tcp": Address(TCP, HERE, port, beside="coap")})
    try:
        yield ports(sockets)
    finally:
        for one in sockets.values():
            one.close()


def test_a_listener_beside_another_has_its_port() -> None:
    with bound(0) as found:
        assert found["coap"] == found["coap-tcp"] > 0


def test_both_take_another_port_where_one_of_them_can_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    listen = listeners.listen

    def sometimes(address: Address) -> socket.socket:
        if address.kind == TCP and len(taken) < 3:
            taken.append(address.port)
            raise OSError(98, "Address already in use")
        return listen(address)

    monkeypatch.setattr(listeners, "listen", sometimes)
    with bound(0) as found:
        assert found["coap"] == found["coap-tcp"]
    assert len(taken) == 3


def test_a_port_that_was_asked_for_is_not_exchanged() -> None:
    with socket.create_server((HERE, 0)) as other:
        port: int = other.getsockname()[1]
        with pytest.raises(ListenError, match=f"coap-tcp: {HERE}:{port}: "), bound(port):
            pass
