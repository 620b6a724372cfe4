"""OSCORE's keys in the access file: whose they are, and which of them can't be."""

import pytest

from rimward.edge.access import AccessError
from rimward.edge.access.file import parse

from .access_support import denied, device, known, living

KEY = "00112233445566778899aabbccddeeff"
OTHER = "ff112233445566778899aabbccddeeff"


def keys(**more: str) -> str:
    every = {"sender": "", "recipient": "01", "secret": KEY} | more
    return "{ " + ", ".join(f'{key} = "{value}"' for key, value in every.items()) + " }"


def test_keys_are_found_by_the_id_and_the_context_that_a_request_names() -> None:
    text = device("a", None, oscore=keys()) + device("b", None, oscore=keys(secret=OTHER, context="aa"))
    text += device("c", None, oscore=keys(secret=KEY[::-1], recipient="02", context="bb"))
    with living(text) as house:
        found = [
            house.access.key_holder(*asked)
            for asked in (
                (b"\x01", None), (b"\x01", b"\xaa"), (b"\x01", b"\xbb"), (b"\x02", None), (b"\x02", b"\xbb"),
                (b"\x03", None),
            )
        ]  # fmt: skip
        assert [one and one.id for one in found] == ["a", "b", None, "c", "c", None]


def test_whose_keys_have_changed_is_not_known_any_more() -> None:
    with living(device("a", None, oscore=keys())) as house:
        holder = house.access.key_holder(b"\x01", None)
        assert holder is not None
        identity = known(house.access.opened(holder))
        assert (identity.id, identity.anonymous) == ("a", False)
        house.rewrite(device("a", None, oscore=keys(secret=OTHER)))
        denied(house.access.opened(holder))
        denied(house.access.renew(identity))


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        (keys(secret="0f" * 15), "device[0].oscore.secret", "16 to 64 bytes"),
        (keys(secret="x" * 32), "device[0].oscore.secret", "hexadecimal"),
        (keys(recipient="00" * 8), "device[0].oscore.recipient", "0 to 7 bytes"),
        (keys(recipient="0"), "device[0].oscore.recipient", "hexadecimal"),
        (keys(context="00" * 33), "device[0].oscore.context", "0 to 32 bytes"),
        (keys(sender="01"), "device[0].oscore.sender", "both ends would use one key"),
    ],
)
def test_keys_that_can_not_be_are_named_without_the_secret(text: str, place: str, rule: str) -> None:
    with pytest.raises(AccessError) as caught:
        parse(device("a", None, oscore=text), "access.toml")
    assert (caught.value.place, rule in caught.value.rule) == (place, True)
    assert "0f" * 15 not in str(caught.value)


@pytest.mark.parametrize(
    ("second", "place"),
    [
        (keys(recipient="02"), "device[1].oscore.secret"),
        (keys(secret=OTHER), "device[1].oscore.recipient"),
    ],
)
def test_two_devices_have_neither_one_secret_nor_one_name(second: str, place: str) -> None:
    with pytest.raises(AccessError) as caught:
        parse(device("a", None, oscore=keys()) + device("b", None, oscore=second), "access.toml")
    assert caught.value.place == place
