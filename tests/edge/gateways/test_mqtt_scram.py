"""SCRAM-SHA-256 over real sockets: who has the password comes in, what is wrong is said in MQTT's words."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.cli.commands import command
from tests.edge.access.access_support import living
from tests.edge.gateways.mqtt_support import Raw, Site, serving, until
from tests.protocols.scram_client import ScramClient

from rimward.edge.access.scram import scram_keys
from rimward.protocols.mqtt import (
    Auth,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Reason,
    encode,
)

METHOD = "SCRAM-SHA-256"


def entry(name: str, password: bytes, *roles: str) -> str:
    keys = scram_keys(password, b"salt-of-a-device", 16_384)
    fields = {"salt": keys.salt, "stored_key": keys.stored_key, "server_key": keys.server_key}
    lines = [f'{key} = "{base64.b64encode(value).decode()}"' for key, value in fields.items()]
    head = f'[[device]]\nid = "{name}"\nroles = {list(roles)!r}\n[device.scram]\niterations = 16384\n'
    return head + "\n".join(lines) + "\n"


FILE = entry("truck-1", b"pencil") + entry("truck-2", b"rubber")


@asynccontextmanager
async def guarded() -> AsyncGenerator[Site]:
    """Serve with the access file."""
    with living(FILE) as house:
        async with serving(access=house.access) as site:
            yield site


class Peer:
    """A bare connection that reads packets."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._decoder = Decoder(1 << 16, version=5)
        self._packets: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self._raw.send(b"".join(encode(packet, 5) for packet in packets))

    async def next(self) -> Packet:
        while not self._packets:
            data = await self._raw.reader.read(4096)
            assert data, "the gateway has hung up"
            self._packets += self._decoder.feed(data)
            assert self._decoder.error is None
        return self._packets.pop(0)

    async def last(self) -> Packet:
        """Return the last packet before the gateway hangs up."""
        self._packets += self._decoder.feed(await self._raw.rest())
        return self._packets[-1]

    def hang_up(self) -> None:
        self._raw.hang_up()

    async def challenge(self) -> bytes:
        """Return what the gateway's next step says."""
        packet = await self.next()
        assert isinstance(packet, Auth), packet
        assert packet.reason == Reason.CONTINUE_AUTHENTICATION
        assert packet.properties is not None
        assert packet.properties.authentication_method == METHOD
        assert packet.properties.authentication_data is not None
        return packet.properties.authentication_data


def auth(data: bytes | None, reason: int = 0x18, method: str | None = METHOD) -> Auth:
    return Auth(reason, Properties(authentication_method=method, authentication_data=data))


def hello(
    data: bytes | None, client_id: str = "truck-1", method: str = METHOD, keep_alive: int = 0
) -> Connect:
    properties = Properties(authentication_method=method, authentication_data=data)
    return Connect(client_id, 5, keep_alive=keep_alive, properties=properties)


async def let_in(site: Site, name: str = "truck-1", password: str = "pencil") -> Peer:
    """Go through a whole exchange."""
    peer, client = Peer(await site.raw()), ScramClient(name, password)
    peer.send(hello(client.first(), name))
    peer.send(auth(client.final(await peer.challenge())))
    connack = await peer.next()
    assert isinstance(connack, Connack), connack
    assert connack.reason == 0
    assert connack.properties is not None
    assert connack.properties.authentication_method == METHOD
    assert client.is_proof(connack.properties.authentication_data or b"")
    return peer


async def test_who_has_the_password_comes_in_and_is_who_it_says() -> None:
    async with guarded() as site:
        peer = await let_in(site)
        peer.send(Publish("truck-1/temperature", b"9", 1, packet_id=1), Pingreq())
        assert isinstance(await peer.next(), Puback)
        assert isinstance(await peer.next(), Pingresp)
        (client,) = site.gateway.sessions.all()
        assert client.identity.id == "truck-1"
        assert not client.identity.anonymous
        peer.hang_up()


@pytest.mark.parametrize(("name", "password"), [("truck-1", "rubber"), ("nobody", "pencil")])
async def test_a_wrong_password_and_an_unknown_name_are_refused_alike(name: str, password: str) -> None:
    async with guarded() as site:
        peer, client = Peer(await site.raw()), ScramClient(name, password)
        peer.send(hello(client.first(), name))
        peer.send(auth(client.final(await peer.challenge())))
        last = await peer.last()
        assert isinstance(last, Connack)
        assert last.reason == Reason.NOT_AUTHORIZED
        assert site.stat("auth_failures") == 1
        assert site.stat("clients") == 0


async def test_another_devices_client_id_is_refused() -> None:
    async with guarded() as site:
        peer, client = Peer(await site.raw()), ScramClient("truck-1", "pencil")
        peer.send(hello(client.first(), "truck-2"))
        peer.send(auth(client.final(await peer.challenge())))
        last = await peer.last()
        assert isinstance(last, Connack)
        assert last.reason == Reason.NOT_AUTHORIZED


async def written(folder: Path, *words: str, given: str) -> str:
    """Run `rimward device`, and return the access file that it leaves."""
    done = await asyncio.to_thread(command, "device", *words, "--password-stdin", at=folder, given=given)
    assert done.returncode == 0, done.stderr
    return (folder / "access.toml").read_text()


async def test_what_the_command_line_writes_lets_a_client_of_scram_in(tmp_path: Path) -> None:
    text = await written(tmp_path, "add", "truck-1", "--scram", given="Gr\u00fc\u00dfe \u2168 aus\u00a0Ulm\n")
    with living(text) as house:
        async with serving(access=house.access) as site:
            (await let_in(site, "truck-1", "Gr\u00fc\u00dfe IX aus Ulm")).hang_up()  # as RFC 4013 prepares it
            await written(tmp_path, "add", "truck-2", given="one without keys\n")
            text = await written(tmp_path, "password", "truck-1", given="another one\n")
            house.rewrite(text)
            (await let_in(site, "truck-1", "another one")).hang_up()
            text = await written(tmp_path, "password", "truck-2", "--scram", given="one with keys\n")
            house.rewrite(text)
            (await let_in(site, "truck-2", "one with keys")).hang_up()
            plain = await site.client("truck-2", username="truck-2", password=b"one with keys")
            assert plain.connack.reason == 0, "the password alone is good too"


def first() -> bytes:
    return ScramClient("truck-1", "pencil").first()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([hello(b"x", method="GS2-KRB5")], Reason.BAD_AUTHENTICATION_METHOD),
        ([hello(b"nothing of SCRAM")], Reason.NOT_AUTHORIZED),
        ([hello(None)], Reason.NOT_AUTHORIZED),
        ([hello(first()), auth(b"nothing of SCRAM")], Reason.NOT_AUTHORIZED),
        ([hello(first()), auth(b"c=biws,r=x,p=eA==", method="SCRAM-SHA-1")], Reason.PROTOCOL_ERROR),
        ([hello(first()), Auth(0x18)], Reason.PROTOCOL_ERROR),
        ([hello(first()), auth(b"x", 0x19)], Reason.PROTOCOL_ERROR),
        ([hello(first()), auth(b"x", 0x00)], Reason.PROTOCOL_ERROR),
        ([hello(first()), Publish("t", b"early")], Reason.PROTOCOL_ERROR),
        ([hello(first()), Pingreq()], Reason.PROTOCOL_ERROR),
        ([hello(first()), hello(first())], Reason.PROTOCOL_ERROR),
    ],
)
async def test_what_breaks_the_exchange_is_refused_with_its_reason(
    sent: list[Packet], reason: Reason
) -> None:
    async with guarded() as site:
        peer = Peer(await site.raw())
        peer.send(*sent)
        last = await peer.last()
        assert isinstance(last, Connack)
        assert last.reason == reason
        assert site.door.messages == []


async def test_no_method_is_offered_where_everyone_is_let_in() -> None:
    async with serving() as site:
        peer = Peer(await site.raw())
        peer.send(hello(first()))
        last = await peer.last()
        assert isinstance(last, Connack)
        assert last.reason == Reason.BAD_AUTHENTICATION_METHOD


async def test_a_client_that_never_ends_its_exchange_is_cut_off_whatever_its_keep_alive() -> None:
    async with guarded() as site:
        peer = Peer(await site.raw())
        peer.send(hello(first(), keep_alive=0))
        await peer.challenge()
        site.now += 11_000_000_000
        site.gateway.look()
        last = await peer.last()
        assert isinstance(last, Connack)
        assert last.reason >= 0x80


async def test_an_identity_can_be_shown_again_while_messages_go_on() -> None:
    async with guarded() as site:
        peer, client = await let_in(site), ScramClient("truck-1", "pencil", "again")
        peer.send(auth(client.first(), 0x19))
        challenge = await peer.challenge()
        peer.send(Publish("truck-1/temperature", b"9", 1, packet_id=1))
        assert isinstance(await peer.next(), Puback)
        peer.send(auth(client.final(challenge)))
        done = await peer.next()
        assert isinstance(done, Auth)
        assert done.reason == 0
        assert done.properties is not None
        assert done.properties.authentication_method == METHOD
        assert client.is_proof(done.properties.authentication_data or b"")
        peer.send(auth(ScramClient("truck-1", "pencil", "third").first(), 0x19))
        await peer.challenge()
        peer.hang_up()


Sent = Callable[[], Auth]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (lambda: auth(first(), 0x18), Reason.PROTOCOL_ERROR),
        (lambda: auth(first(), 0x19, "SCRAM-SHA-1"), Reason.PROTOCOL_ERROR),
        (lambda: Auth(0x19), Reason.PROTOCOL_ERROR),
        (lambda: auth(b"x", 0x19), Reason.NOT_AUTHORIZED),
    ],
)
async def test_a_re_authentication_that_goes_wrong_ends_the_connection(sent: Sent, reason: Reason) -> None:
    async with guarded() as site:
        peer = await let_in(site)
        peer.send(sent())
        last = await peer.last()
        assert isinstance(last, Disconnect)
        assert last.reason == reason


@pytest.mark.parametrize(("name", "password"), [("truck-1", "wrong"), ("truck-2", "rubber")])
async def test_nobody_else_takes_over_a_connection_by_re_authentication(name: str, password: str) -> None:
    async with guarded() as site:
        peer, client = await let_in(site), ScramClient(name, password)
        peer.send(auth(client.first(), 0x19))
        peer.send(auth(client.final(await peer.challenge())))
        last = await peer.last()
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.NOT_AUTHORIZED
        await until(lambda: site.stat("clients") == 0)


async def test_auth_without_a_method_in_connect_is_a_protocol_error() -> None:
    async with serving() as site:
        device = await site.client("d")
        device.send(encode(auth(first(), 0x19), 5))
        last = await device.ended()
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.PROTOCOL_ERROR
