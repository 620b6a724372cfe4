"""The book of nodes: what a join string opens, and for whom."""

from collections.abc import Generator
from pathlib import Path

import pytest

from rimward.cloud.control.enrolment import EnrolmentError, Enrolments, JoinRefused
from rimward.network.nkeys import Key, new_key
from rimward.wire.joining import JoinRequest, signed

HOUR = 3_600_000_000_000  # ns


class Clock:
    now = 1_800_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Generator[Enrolments]:
    book = Enrolments(tmp_path / "hub" / "enrol.db", clock)
    yield book
    book.close()


def request(secret: str, name: str, key: Key) -> JoinRequest:
    return JoinRequest(secret, name, key.public, key.sign(signed(secret, name, key.public)))


def why_not(book: Enrolments, wish: JoinRequest) -> str:
    with pytest.raises(JoinRefused) as caught:
        book.join(wish)
    return caught.value.why


def test_a_string_lets_one_key_in_and_tells_it_the_same_again(book: Enrolments) -> None:
    secret, _ = book.issue("harbour", 3600)
    key = new_key()
    node = book.join(request(secret, "truck-7", key))
    assert (node.name, node.site, node.key) == ("truck-7", "harbour", key.public)
    assert book.join(request(secret, "truck-7", key)) == node, "an answer was lost"
    assert book.nodes() == [node]


def test_a_used_string_opens_nothing_for_another_key_or_name(book: Enrolments) -> None:
    secret, _ = book.issue("local", 3600)
    key = new_key()
    book.join(request(secret, "truck-7", key))
    assert why_not(book, request(secret, "truck-8", new_key())) == "used"
    assert why_not(book, request(secret, "truck-7", new_key())) == "used"
    assert why_not(book, request(secret, "truck-8", key)) == "used"
    other, second = book.issue("local", 3600)[0], new_key()
    book.join(request(other, "truck-8", second))
    assert why_not(book, request(secret, "truck-8", second)) == "used", "nor for a node of another string"
    assert len(book.nodes()) == 2


def test_a_string_ends_and_no_clock_that_goes_back_makes_it_good_again(
    book: Enrolments, clock: Clock, tmp_path: Path
) -> None:
    secret, expires = book.issue("local", 3600)
    assert expires == clock.now + HOUR
    clock.now += HOUR
    assert why_not(book, request(secret, "a", new_key())) == "expired"
    book.issue("local", 60)  # the time that was seen is on disk
    again = Enrolments(tmp_path / "hub" / "enrol.db", lambda: clock.now - HOUR)
    assert why_not(again, request(secret, "a", new_key())) == "expired"
    again.close()


def test_who_was_let_in_is_told_so_after_the_strings_end(book: Enrolments, clock: Clock) -> None:
    secret, _ = book.issue("local", 3600)
    key = new_key()
    node = book.join(request(secret, "a", key))
    clock.now += 2 * HOUR
    assert book.join(request(secret, "a", key)) == node


def test_a_name_is_one_nodes_until_that_is_revoked(book: Enrolments) -> None:
    first, second, third = (book.issue("local", 3600)[0] for _ in range(3))
    old = new_key()
    book.join(request(first, "truck-7", old))
    assert why_not(book, request(second, "truck-7", new_key())) == "taken"
    book.revoke("truck-7")
    assert book.nodes() == []
    new = new_key()
    book.join(request(second, "truck-7", new))
    assert [node.key for node in book.nodes()] == [new.public]
    assert why_not(book, request(first, "truck-7", old)) == "used", "the revoked one is not let in again"
    assert why_not(book, request(third, "other", new)) == "taken", "a key is one node's"


def test_a_refusal_burns_nothing(book: Enrolments) -> None:
    taken, secret = book.issue("local", 3600)[0], book.issue("local", 3600)[0]
    book.join(request(taken, "a", new_key()))
    assert why_not(book, request(secret, "a", new_key())) == "taken"
    assert book.join(request(secret, "b", new_key())).name == "b"


@pytest.mark.parametrize("name", ["", "A", "a.b", "a b", "a*", "ä", "a" * 33, "a/b", ">", "hub"])
def test_names_that_could_mean_more_on_the_bus_are_refused(book: Enrolments, name: str) -> None:
    secret, _ = book.issue("local", 3600)
    assert why_not(book, request(secret, name, new_key())) == "invalid"


def test_nobody_enrols_a_key_that_he_does_not_hold(book: Enrolments) -> None:
    secret, _ = book.issue("local", 3600)
    mine, theirs = new_key(), new_key()
    forged = JoinRequest(secret, "a", theirs.public, mine.sign(signed(secret, "a", theirs.public)))
    assert why_not(book, forged) == "invalid"
    other = JoinRequest(secret, "a", mine.public, mine.sign(signed(secret, "b", mine.public)))
    assert why_not(book, other) == "invalid"
    assert why_not(book, request("guessed", "a", mine)) == "unknown"


def test_the_file_has_no_secret_and_survives_its_process(
    book: Enrolments, tmp_path: Path, clock: Clock
) -> None:
    secret, _ = book.issue("local", 3600)
    key = new_key()
    book.join(request(secret, "a", key))
    files = list((tmp_path / "hub").iterdir())
    assert all(secret.encode() not in file.read_bytes() for file in files)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    again = Enrolments(tmp_path / "hub" / "enrol.db", clock)
    assert again.join(request(secret, "a", key)) == book.nodes()[0]
    again.close()


def test_whoever_changes_the_book_moves_its_version(book: Enrolments, tmp_path: Path, clock: Clock) -> None:
    other = Enrolments(tmp_path / "hub" / "enrol.db", clock)
    before = book.version()
    secret, _ = other.issue("local", 3600)
    after = book.version()
    assert after != before
    assert book.version() == after
    book.join(request(secret, "a", new_key()))
    assert book.version() != after
    other.close()


@pytest.mark.parametrize("lifetime", [0.0, -1.0, 31 * 86_400.0, float("nan"), float("inf")])
def test_a_string_lives_neither_for_nothing_nor_for_ever(book: Enrolments, lifetime: float) -> None:
    with pytest.raises(EnrolmentError, match="a join string lives"):
        book.issue("local", lifetime)


def test_revoking_nobody_says_who_there_is(book: Enrolments) -> None:
    with pytest.raises(EnrolmentError, match="known: there is none yet"):
        book.revoke("truck-7")
    secret, _ = book.issue("local", 3600)
    book.join(request(secret, "truck-8", new_key()))
    with pytest.raises(EnrolmentError, match="known: truck-8"):
        book.revoke("truck-7")
