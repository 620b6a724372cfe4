"""Listeners as they are configured: addresses, Unix sockets, and what is refused at once."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from rimward.edge.gateways.listening.config import (
    AcceptConfig,
    ListenerConfig,
    ListenerError,
    TlsConfig,
    address_of,
    check,
)
from rimward.edge.gateways.listening.listening import Listening
from rimward.edge.gateways.peers import Peer, is_loopback, plain
from rimward_supervisor.listeners import TCP, UDP, UNIX, Address, bind

from .support import PATIENCE, Mirror, connected, greeting, house

FILES = '"certificates": [{"certificate": "a", "key": "b"}]'


@pytest.mark.parametrize(
    ("protocol", "written", "address"),
    [
        ("mqtt", "127.0.0.1:1883", Address(TCP, "127.0.0.1", 1883)),
        ("mqtt", "localhost:0", Address(TCP, "127.0.0.1", 0)),
        ("http", "[::1]:8080", Address(TCP, "::1", 8080)),
        ("coap", "0.0.0.0:5683", Address(UDP, "0.0.0.0", 5683)),
        ("coap+tcp", "127.0.0.1:5683", Address(TCP, "127.0.0.1", 5683)),
        ("http", "unix:/run/node.sock", Address(UNIX, path="/run/node.sock", mode=0o600)),
    ],
)
def test_an_address_is_read_as_people_write_it(protocol: str, written: str, address: Address) -> None:
    assert address_of("a", ListenerConfig(protocol, written)) == address


@pytest.mark.parametrize(
    ("listener", "why"),
    [
        (ListenerConfig("mqtt", "1883"), "'1883' is neither IP:port"),
        (ListenerConfig("mqtt", "node.test:1883"), "neither IP:port, localhost:port nor unix:/path"),
        (ListenerConfig("mqtt", "127.0.0.1:65536"), "not such as 127.0.0.1:1883"),
        (ListenerConfig("mqtt", "::1:1883"), "not such as 127.0.0.1:1883 or"),
        (ListenerConfig("mqtt", "unix:relative"), "no absolute path"),
        (ListenerConfig("mqtt", "unix:/s", mode="rw"), "mode: 'rw' is not four octal digits"),
        (ListenerConfig("coap", "unix:/s"), "coap has no Unix socket"),
        (
            ListenerConfig("coap", proxy_protocol_from=("10.0.0.0/8",)),
            "coap runs over UDP",
        ),
        (ListenerConfig("coap", tls=TlsConfig(())), "tls: coap runs over UDP"),
        (ListenerConfig("mqtt", proxy_protocol_from=("10.0.0.1/8",)), "has host bits set"),
        (ListenerConfig("mqtt", tls=TlsConfig(())), "tls.certificates: at least one"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_key_and_rule(listener: ListenerConfig, why: str) -> None:
    with pytest.raises(ListenerError, match=f"listener a: .*{why}"):
        check("a", listener)


@pytest.mark.parametrize(
    ("tls", "why"),
    [
        ('"client_certificates": "required"', "tls.client_ca: client_certificates 'required' needs a file"),
        ('"client_ca": "c"', "tls.client_ca: it says nothing while client_certificates is none"),
        ('"crl": "c"', "tls.crl: it says nothing while client_certificates is none"),
    ],
)
def test_tls_that_asks_for_certificates_needs_to_know_whose_they_may_be(tls: str, why: str) -> None:
    listener = ListenerConfig("mqtt", tls=msgspec.json.decode(f"{{{FILES}, {tls}}}", type=TlsConfig))
    with pytest.raises(ListenerError, match=why):
        check("a", listener)


def make(listeners: dict[str, ListenerConfig], *, may_be_open: bool = False) -> Listening:
    return Listening(listeners, AcceptConfig(), {"mqtt": Mirror}, {}, may_be_open=may_be_open)


@pytest.mark.parametrize(
    ("listener", "why"),
    [
        (
            ListenerConfig("mqtt", "0.0.0.0:0"),
            "others reach 0.0.0.0, .* --access FILE",
        ),
        (ListenerConfig("mqtt", "[::]:0"), "others reach ::"),
        (
            ListenerConfig("mqtt", "127.0.0.1:0", proxy_protocol_from=("127.0.0.1/32",)),
            "whoever comes through a proxy is not of this machine",
        ),
        (ListenerConfig("amqp", "127.0.0.1:0"), "'amqp' is none of those served, mqtt"),
        (ListenerConfig("mqtt"), "address: one is needed where no socket is given"),
    ],
)
async def test_nobody_can_come_in_from_outside_unasked(listener: ListenerConfig, why: str) -> None:
    listening = make({"door": listener})
    with pytest.raises(ListenerError, match=f"listener door: .*{why}"):
        await listening.open({})
    await listening.close()


async def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listening = make({"door": ListenerConfig("mqtt", f"127.0.0.1:{port}")})
        with pytest.raises(ListenerError, match=f"door: address: 127.0.0.1:{port}: Address already in use"):
            await listening.open({})
        await listening.close()


async def test_each_listener_of_a_protocol_tells_its_name() -> None:
    async with house(one=ListenerConfig("mqtt"), two=ListenerConfig("mqtt")) as here:
        for name in ("one", "two"):
            async with connected(here.ports[name]) as line:
                peer = await greeting(line)
                assert (peer.listener, peer.local, peer.secure) == (name, True, False)


async def test_a_unix_socket_is_its_owners_alone_and_its_peer_is_local(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    async with house(door=ListenerConfig("mqtt", f"unix:{path}")):
        mode = await asyncio.to_thread(lambda: path.stat().st_mode & 0o777)
        assert mode == 0o600
        reader, writer = await asyncio.open_unix_connection(str(path))
        peer = await greeting((reader, writer))
        assert peer == Peer("", 0, local=True, listener="door")
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
    assert not await asyncio.to_thread(path.exists)


async def test_the_file_of_a_dead_server_is_replaced_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    async with house(door=ListenerConfig("mqtt", f"unix:{path}", mode="0660")):
        mode = await asyncio.to_thread(lambda: path.stat().st_mode & 0o777)
        assert mode == 0o660
        second = make({"door": ListenerConfig("mqtt", f"unix:{path}")})
        with pytest.raises(ListenerError, match="Address already in use"):
            await second.open({})
        await second.close()
    path.write_text("precious")
    third = make({"door": ListenerConfig("mqtt", f"unix:{path}")})
    with pytest.raises(ListenerError, match="a file that is no socket is there"):
        await third.open({})
    await third.close()
    assert path.read_text() == "precious"


async def test_whoever_may_open_the_unix_socket_may_be_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    listener = ListenerConfig("mqtt", f"unix:{path}", proxy_protocol_from=("unix",))
    async with house(door=listener):
        reader, writer = await asyncio.open_unix_connection(str(path))
        body = bytes([192, 0, 2, 7, 127, 0, 0, 1, 18, 103, 7, 91])
        writer.write(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + body)
        peer = await greeting((reader, writer))
        assert (peer.address, peer.port, peer.local) == ("192.0.2.7", 4711, False)
        writer.close()


def test_udp_is_bound_and_not_shared() -> None:
    sockets = bind({"coap": Address(UDP, "127.0.0.1", 0)})
    with sockets["coap"] as bound:
        assert bound.type == socket.SOCK_DGRAM
        with pytest.raises(Exception, match="Address already in use"):
            bind({"coap": Address(UDP, "127.0.0.1", bound.getsockname()[1])})


def test_ipv4_written_as_ipv6_and_scopes_are_seen_through() -> None:
    assert plain("::ffff:192.0.2.7") == "192.0.2.7"
    assert plain("fe80::1%eth0") == "fe80::1"
    assert is_loopback("::ffff:127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("::ffff:192.0.2.7")
    assert not is_loopback("somewhere")


async def test_a_burst_beyond_the_rooms_size_is_served_to_the_last() -> None:
    listener = ListenerConfig("mqtt", proxy_protocol_from=("127.0.0.1/32",))
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 127, 0, 0, 1, 18, 103, 7, 91])
    async with house(AcceptConfig(waiting=4), door=listener) as here:

        async def come() -> str:
            async with connected(here.ports["door"]) as line:
                await asyncio.sleep(0)
                line[1].write(header)
                return (await greeting(line)).address

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            coming = [tasks.create_task(come()) for _ in range(100)]
        assert {task.result() for task in coming} == {"192.0.2.7"}
        assert here.count("door.waiting_room_full") == 0


def is_kept_alive(sock: socket.socket) -> bool:
    return all(
        sock.getsockopt(*option)
        for option in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_NODELAY))
    )


@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8",)])
async def test_a_listener_has_what_its_connections_are_to_have(networks: tuple[str, ...]) -> None:
    listener = ListenerConfig("mqtt", proxy_protocol_from=networks)  # the second accepts on its own
    listening = Listening({"mqtt": listener}, AcceptConfig(), {"mqtt": Mirror}, {}, may_be_open=True)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert not is_kept_alive(sock)
        await listening.open({"mqtt": sock})
        assert is_kept_alive(sock)
        await listening.close()


def test_a_socket_that_is_bound_hands_it_on_to_those_who_came_before_the_node() -> None:
    [sock] = bind({"mqtt": Address(TCP, "127.0.0.1", 0)}).values()
    with sock, socket.create_connection(sock.getsockname()), sock.accept()[0] as accepted:
        assert is_kept_alive(accepted)
