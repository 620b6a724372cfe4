"""SCRAM-SHA-256's server side, against the standard's own example and a client written by its words."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from rimward.protocols.scram import ScramError, ScramServer, saslprep

from .scram_client import ScramClient


class Stored(Struct, frozen=True):
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def stored(password: str, salt: bytes = b"salt", iterations: int = 2) -> Stored:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    key = hmac.digest(salted, b"Client Key", "sha256")
    return Stored(
        salt, iterations, hashlib.sha256(key).digest(), hmac.digest(salted, b"Server Key", "sha256")
    )


# [RFC 7677 §3]
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
PROOF = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_standards_example_goes_as_it_is_written() -> None:
    server = ScramServer()
    assert server.first(FIRST) == "user"
    assert server.challenge(stored("pencil", SALT, 4096), NONCE) == CHALLENGE
    assert server.final(FINAL) == PROOF


names = st.text(
    st.characters(categories=["Ll", "Nd"], max_codepoint=0x17F) | st.sampled_from(",="), min_size=1
)


@given(names, st.text(min_size=1, max_size=20), st.text(max_size=20), st.sampled_from(["n", "y"]))
def test_who_has_the_password_is_let_in_and_who_has_another_is_not(
    name: str, password: str, other: str, binding: str
) -> None:
    for tried in (password, other):
        server, client = ScramServer(), ScramClient(name, tried, "clientnonce", binding)
        assert server.first(client.first()) == saslprep(name)
        final = client.final(server.challenge(stored(password), "servernonce"))
        if tried == password:
            assert client.is_proof(server.final(final))
        else:
            with pytest.raises(ScramError, match="wrong") as caught:
                server.final(final)
            assert not caught.value.malformed


def begun() -> ScramServer:
    server = ScramServer()
    server.first(FIRST)
    server.challenge(stored("pencil", SALT, 4096), NONCE)
    return server


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "GS2"),
        (b"n", "GS2"),
        (b"n,", "GS2"),
        (b"x,,n=user,r=a", "GS2"),
        (b"p=tls-exporter,,n=user,r=a", "channel binding"),
        (b"n,,n=user", "n= and r="),
        (b"n,,n=user,r=", "n= and r="),
        (b"n,,m=ext,n=user,r=a", "n= and r="),
        (b"n,,r=a,n=user", "n= and r="),
        ("n,,n=user,r=ü".encode(), "n= and r="),
        (b"n,,n=,r=a", "empty"),
        (b"n,,n=us=er,r=a", "=2C"),
        (b"n,,n=us=2,r=a", "=2C"),
        (b"n,a=other,n=user,r=a", "another identity"),
        (b"n,b=user,n=user,r=a", "another identity"),
        (b"n,,n=us\x00er,r=a", "NUL"),
        (b"n,,n=us\xffer,r=a", "UTF-8"),
        ("n,,n=us\u0007er,r=a".encode(), "4013"),
        ("n,,n=\u0627a,r=a".encode(), "directions"),
        (b"n,,n=user,r=" + b"a" * 4096, "4096"),
    ],
)
def test_a_first_message_that_is_none_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(ScramError, match=why) as caught:
        ScramServer().first(data)
    assert caught.value.malformed


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "c="),
        (b"c=biws,p=eA==", "c="),
        (FINAL.replace(b"c=biws", b"c=eSws"), "GS2"),
        (FINAL.replace(b"rOprN", b"rOprX"), "nonce"),
        (FINAL.replace(b"p=dHz", b"p=!!!"), "base64"),
        (FINAL.replace(b"p=dHzb", b"p="), "bytes"),
    ],
)
def test_a_final_message_that_is_none_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(ScramError, match=why) as caught:
        begun().final(data)
    assert caught.value.malformed


def test_every_bit_of_the_proof_counts() -> None:
    proof = base64.b64decode(FINAL.rpartition(b"p=")[2])
    for bit in range(8 * len(proof)):
        changed = bytearray(proof)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ScramError, match="wrong"):
            begun().final(FINAL.rpartition(b"p=")[0] + b"p=" + base64.b64encode(changed))


@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(ScramError):
        ScramServer().first(data)
    with pytest.raises(ScramError):
        begun().final(data)


# [RFC 4013 §3]
@pytest.mark.parametrize(
    ("text", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX")],
)
def test_names_are_prepared_as_the_standards_examples(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared
