"""The access file: what it says, and which key of it breaks which rule."""

from pathlib import Path

import pytest

from rimward.edge.access import AccessError
from rimward.edge.access.file import MAX_FILE, parse, read

from .access_support import cheap, device

DIGEST = "sha256:" + "0" * 64
SCRAM = """\
[[device]]
id = "a"
[device.scram]
iterations = 1
salt = "AA=="
stored_key = "AA=="
server_key = "AA=="
"""
KEY = '[[jwt.key]]\nfile = "k"\nalgorithm = "RS256"\n'


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("x = 1", "$", "unknown field"),
        ("[[device]]\nid = 7", "device[0].id", "expected `str`, got `int`"),
        ('[[device]]\nid = "a"', "device[0]", "none of password, token, certificate, scram"),
        (f'[[device]]\nid = "a/b"\ntoken = "{DIGEST}"', "device[0].id", "'a/b': it has one of / + # { }"),
        (f'[[device]]\nid = ""\ntoken = "{DIGEST}"', "device[0].id", "it has 0 characters"),
        (f'[[device]]\nid = "$x"\ntoken = "{DIGEST}"', "device[0].id", "starts with $"),
        (f'[[device]]\nid = "a%2fb"\ntoken = "{DIGEST}"', "device[0].id", "%2F"),
        (f'[[device]]\nid = "a"\ntoken = "{DIGEST}"\nuser = "x#"', "device[0].user", "one of / + #"),
        ('[[device]]\nid = "a"\npassword = "hunter2"', "device[0].password", "no argon2id hash"),
        ('[[device]]\nid = "a"\ntoken = "hunter2"', "device[0].token", "sha256: and 64"),
        ('[[device]]\nid = "a"\ncertificate = "CN=a"', "device[0].certificate", "subject:NAME"),
        (device("a", clients='["a*b"]'), "device[0].clients[0]", "* stands at the end alone"),
        (device("a", clients='["a/#"]'), "device[0].clients[0]", "one of / + #"),
        (device("a") + device("a"), "device[1].id", "device[0] has it already"),
        (device("a") + device("b", user='"a"'), "device[1].user", "another device has it as its id"),
        (
            "".join(f'[[device]]\nid = "{name}"\ntoken = "{DIGEST}"\n' for name in "ab"),
            "device[1].token",
            "device[0] has it already",
        ),
        (
            SCRAM,
            "device[0].scram.iterations",
            "at least 4096",
        ),
        ('[[rule]]\npublish = ["a#"]', "rule[0].publish[0]", "'a#'"),
        (
            '[[rule]]\nsubscribe = ["{device}"]',
            "rule[0].subscribe[0]",
            "placeholders are {client} and {user}",
        ),
        ('[[rule]]\nrequest = ["/a"]', "rule[0].request[0]", "a method or *"),
        ('[[rule]]\nobserve = ["a"]', "rule[0].observe[0]", "write '/a'"),
        ('[[rule]]\ndevices = ["nobody"]', "rule[0].devices[0]", "no [[device]] has this id"),
        ('[[rule]]\nanyone = true\nroles = ["a"]', "rule[0].anyone", "has no roles, devices or own"),
        (
            '[[rule]]\nanyone = true\npublish = ["{client}"]',
            "rule[0].publish[0]",
            "nobody knows who anyone is",
        ),
        ('[[rule]]\ndeny = ["a"]', "rule[0]", "unknown field `deny`"),
        (f'[[jwt]]\nissuer = ""\naudience = "a"\n{KEY}', "jwt[0].issuer", "it is empty"),
        ('[[jwt]]\nissuer = "i"\naudience = "a"\nkey = []', "jwt[0].key", "no [[jwt.key]]"),
        (f'[[jwt]]\nissuer = "i"\naudience = "a"\nleeway = 900\n{KEY}', "jwt[0].leeway", "from 0 to 300"),
        (f'[[jwt]]\nissuer = "i"\naudience = "a"\n{KEY}' * 2, "jwt[1].issuer", "another [[jwt]] has it"),
        (
            '[[jwt]]\nissuer = "i"\naudience = "a"\n[[jwt.key]]\nfile = "k"\nalgorithm = "none"',
            "jwt[0].key[0].algorithm",
            "invalid enum value 'none'",
        ),
        ('[certificates]\nid = "serial"', "certificates.id", "invalid enum value"),
    ],
)
def test_what_breaks_a_rule_is_told_with_file_key_and_rule(text: str, place: str, said: str) -> None:
    with pytest.raises(AccessError) as caught:
        parse(text, "access.toml")
    message = str(caught.value)
    assert message.startswith("access.toml: ")
    assert place.removeprefix("$") in message
    assert said in message
    assert "hunter2" not in message, "no message has a secret in it"


def test_a_file_that_is_no_toml_is_told() -> None:
    with pytest.raises(AccessError, match=r"access.toml: it is not TOML: Unterminated string"):
        parse('[[device]]\nid = "a', "access.toml")


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="it can't be read"):
        read(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(AccessError, match="it is not UTF-8, at byte 0"):
        read(tmp_path / "a.toml")


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(AccessError, match="the limit is"):
        read(path)


def test_an_empty_file_lets_nobody_in() -> None:
    found = parse("", "access.toml")
    assert (found.device, found.rule, found.jwt, found.certificates) == ((), (), (), None)


def test_a_device_has_what_is_written() -> None:
    found = parse(device("a", user='"u"', roles='["r"]', clients='["a-*"]'), "access.toml").device[0]
    assert (found.id, found.user, found.roles, found.clients) == ("a", "u", ("r",), ("a-*",))
    assert found.password == cheap("secret")
