import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.network.nkeys import Key, NoKey, is_public, new_key, parse_seed, read_key, verify

# The pair that NATS's own clients are tested with.
SEED = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU"
PUBLIC = "UCK5N7N66OBOINFXAYC2ACJQYFSOD4VYNU6APEJTAVFZB2SVHLKGEW7L"


def test_a_seed_has_the_public_key_that_others_find_for_it() -> None:
    assert parse_seed(SEED).public == PUBLIC


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40))
def test_only_the_owners_signature_of_the_same_data_is_right(raw: bytes, data: bytes) -> None:
    key = Key(raw)
    assert is_public(key.public)
    assert verify(key.public, key.sign(data), data)
    assert not verify(key.public, key.sign(data), data + b"!")
    assert not verify(PUBLIC, key.sign(data), data)


def test_a_key_in_a_file_is_its_owners_alone_and_comes_back(tmp_path: Path) -> None:
    key, path = new_key(), tmp_path / "node.key"
    key.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).public == key.public
    assert list(tmp_path.iterdir()) == [path], "no draft stays"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no key of 58 characters"),
        (SEED[:-1], "no key of 58 characters"),
        (SEED[:-1] + "1", "no key of 58 characters"),
        (SEED[:-3] + "AAA", "check sum"),
        (SEED.lower(), "no key of 58 characters"),
        ("SAALK" + SEED[5:], "check sum"),
    ],
)
def test_what_is_no_seed_is_refused_without_being_shown(text: str, why: str) -> None:
    with pytest.raises(NoKey, match=why) as caught:
        parse_seed(text)
    assert not text or text not in str(caught.value)


def test_a_seed_is_no_public_key_and_the_other_way_round() -> None:
    assert not is_public(SEED)
    with pytest.raises(NoKey):
        parse_seed(PUBLIC)
    assert not verify("U" * 56, b"", b"")


def test_a_key_never_shows_its_seed() -> None:
    assert SEED not in repr(parse_seed(SEED))
    assert PUBLIC in repr(parse_seed(SEED))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoKey, match=r"node\.key can't be read: No such file"):
        read_key(tmp_path / "node.key")
