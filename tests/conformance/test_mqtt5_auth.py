"""MQTT 5, sections 3.15 and 4.12: enhanced authentication, by SCRAM-SHA-256 [RFC 5802, 7677]."""

import base64
import hashlib
import hmac
import secrets

import pytest

from .house import Client, House
from .wire import (
    AUTH,
    AUTH_DATA,
    AUTH_METHOD,
    CONNACK,
    MAXIMUM_PACKET_SIZE,
    PING,
    REASON_STRING,
    USER,
    Hello,
    auth,
    packet,
    properties,
    publish,
)

METHOD = "SCRAM-SHA-256"
USER_NAME, PASSWORD = "truck-7", "correct horse"  # what the `guarded` fixture's access file has
CONTINUE, AGAIN, PROTOCOL_ERROR = 0x18, 0x19, 0x82


class Scram:
    """A client's side of one exchange, written from the RFC."""

    def __init__(self, password: str = PASSWORD) -> None:
        self._password = password
        self._nonce = secrets.token_urlsafe(18)
        self._first = f"n={USER_NAME},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        return b"n,," + self._first.encode()

    def final(self, challenge: bytes) -> bytes:
        """Return the proof that answers the server's first message."""
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert fields["r"].startswith(self._nonce)
        assert len(fields["r"]) > len(self._nonce)
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        assert rounds >= 4096
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, rounds)
        key = _sign(salted, b"Client Key")
        bare = f"c=biws,r={fields['r']}"
        text = f"{self._first},{challenge.decode()},{bare}".encode()
        signed = _sign(hashlib.sha256(key).digest(), text)
        proof = bytes(a ^ b for a, b in zip(key, signed, strict=True))
        self._signature = _sign(_sign(salted, b"Server Key"), text)
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def check(self, verdict: object) -> None:
        """Make sure that the server knows the password as well."""
        assert verdict == b"v=" + base64.b64encode(self._signature)


def _sign(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _step(data: bytes, reason: int = CONTINUE, method: str = METHOD) -> bytes:
    return auth(reason, (AUTH_METHOD, method), (AUTH_DATA, data))


async def _begin(house: House, scram: Scram) -> Client:
    client = await house.raw()
    hello = Hello("truck-7", properties=((AUTH_METHOD, METHOD), (AUTH_DATA, scram.first())))
    client.send(hello.encode())
    return client


async def _challenge(client: Client) -> bytes:
    step = await client.expect(AUTH)
    assert (step.reason, step.get(AUTH_METHOD)) == (CONTINUE, METHOD)
    data = step.get(AUTH_DATA)
    assert isinstance(data, bytes)
    return data


async def _in(house: House) -> Client:
    scram = Scram()
    client = await _begin(house, scram)
    client.send(_step(scram.final(await _challenge(client))))
    connack = await client.expect(CONNACK)
    assert (connack.reason, connack.get(AUTH_METHOD)) == (0, METHOD)
    scram.check(connack.get(AUTH_DATA))
    return client


async def test_scram_lets_a_client_in_step_by_step(guarded: House) -> None:
    client = await _in(guarded)
    await client.quiet()


async def test_a_wrong_proof_is_refused(guarded: House) -> None:
    scram = Scram("wrong")
    client = await _begin(guarded, scram)
    client.send(_step(scram.final(await _challenge(client))), publish("t"))
    (connack,) = await client.closed()
    assert (connack.kind, connack.reason) in {(CONNACK, 0x86), (CONNACK, 0x87)}


async def test_a_name_that_nobody_has_is_refused_no_sooner(guarded: House) -> None:
    client = await guarded.raw()
    first = f"n,,n=nobody,r={secrets.token_urlsafe(18)}".encode()
    client.send(Hello("n", properties=((AUTH_METHOD, METHOD), (AUTH_DATA, first))).encode())
    challenge = await _challenge(client)
    nonce = challenge.decode().split(",")[0]
    proof = base64.b64encode(bytes(32)).decode()
    client.send(_step(f"c=biws,{nonce},p={proof}".encode()))
    (connack,) = await client.closed()
    assert connack.reason in {0x86, 0x87}


async def test_a_wrong_password_is_refused(guarded: House) -> None:
    for password in ("wrong", ""):
        client = await guarded.raw()
        client.send(Hello("truck-7", username=USER_NAME, password=password).encode(), publish("t"))
        (connack,) = await client.closed()
        assert (connack.kind, connack.reason) in {(CONNACK, 0x86), (CONNACK, 0x87)}


async def test_nobody_is_let_in_without_a_word(guarded: House) -> None:
    client = await guarded.raw()
    client.send(Hello("truck-7").encode())
    (connack,) = await client.closed()
    assert connack.reason in {0x86, 0x87}


async def test_a_right_password_is_accepted(guarded: House) -> None:
    hello = Hello("truck-7", username=USER_NAME, password=PASSWORD)
    assert (await guarded.say(hello)).connack.reason == 0


async def test_anything_else_while_it_authenticates_ends_the_connection(guarded: House) -> None:
    for data in (publish("t"), PING, Hello("truck-7").encode()):
        client = await _begin(guarded, Scram())
        await _challenge(client)
        client.send(data)
        packets = await client.closed()
        assert [packet.kind for packet in packets] in ([], [CONNACK])
        assert all(packet.reason >= 0x80 for packet in packets)


async def test_a_garbled_first_message_is_refused(guarded: House) -> None:
    for data in (b"", b"n,,", b"n,,n=,r=", b"\xff\xfe", b"y,,n=truck-7", b"p=tls-unique,,n=truck-7,r=abc"):
        client = await guarded.raw()
        client.send(Hello("truck-7", properties=((AUTH_METHOD, METHOD), (AUTH_DATA, data))).encode())
        (connack,) = await client.closed()
        assert connack.reason >= 0x80


@pytest.mark.parametrize("flags", range(1, 16))
async def test_the_flags_of_an_auth_are_zero(house: House, flags: int) -> None:
    client = await house.connect("a")
    client.send(packet(0xF0 | flags, bytes([AGAIN]) + properties((AUTH_METHOD, METHOD))))
    assert await client.goodbye() == 0x81


@pytest.mark.parametrize("reason", [0x00, 0x01, 0x80, 0x87, 0xFF])
async def test_an_auth_with_a_reason_that_clients_do_not_have_ends_the_connection(
    guarded: House, reason: int
) -> None:
    scram = Scram()
    client = await _begin(guarded, scram)
    client.send(_step(scram.final(await _challenge(client)), reason))
    packets = await client.closed()
    assert all(packet.reason >= 0x80 for packet in packets)


async def test_an_auth_has_no_reason_string_and_no_user_property_for_a_small_client(guarded: House) -> None:
    scram = Scram()
    client = await guarded.raw()
    some = ((MAXIMUM_PACKET_SIZE, 200), (AUTH_METHOD, METHOD), (AUTH_DATA, scram.first()))
    client.send(Hello("truck-7", properties=some).encode())
    step = await client.expect(AUTH)
    assert step.size <= 200
    assert step.get(REASON_STRING) is None
    assert step.get(USER) is None


async def test_without_a_method_there_is_no_auth_and_none_in_connack(house: House) -> None:
    connack = (await house.connect("a")).connack
    assert connack.get(AUTH_METHOD) is None
    assert connack.get(AUTH_DATA) is None


@pytest.mark.parametrize("reason", [CONTINUE, AGAIN])
async def test_an_auth_of_a_client_without_a_method_ends_the_connection(house: House, reason: int) -> None:
    client = await house.connect("a")
    client.send(_step(b"", reason))
    assert await client.goodbye() == PROTOCOL_ERROR


async def test_a_client_authenticates_again(guarded: House) -> None:
    client = await _in(guarded)
    scram = Scram()
    client.send(_step(scram.first(), AGAIN))
    client.send(_step(scram.final(await _challenge(client))))
    done = await client.expect(AUTH)
    assert (done.reason, done.get(AUTH_METHOD)) == (0, METHOD)
    scram.check(done.get(AUTH_DATA))
    await client.quiet()


async def test_another_method_when_it_authenticates_again_ends_the_connection(guarded: House) -> None:
    client = await _in(guarded)
    client.send(_step(Scram().first(), AGAIN, "PLAIN"))
    assert await client.goodbye() in {PROTOCOL_ERROR, 0x87, 0x8C}


async def test_a_wrong_proof_when_it_authenticates_again_ends_the_connection(guarded: House) -> None:
    client = await _in(guarded)
    scram = Scram("wrong")
    client.send(_step(scram.first(), AGAIN))
    client.send(_step(scram.final(await _challenge(client))))
    assert await client.goodbye() in {0x86, 0x87}
