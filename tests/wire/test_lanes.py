import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.wire import (
    PRIORITIES,
    Epoch,
    Lane,
    MessageId,
    marks_subject,
    message_id,
    parse_message_id,
    parse_prior,
    parse_up,
    prior_text,
    split_version,
    stream_subject,
    transaction_id,
    transaction_version,
    up_subject,
)

EPOCHS = st.builds(Epoch, st.integers(1, 2**23 - 1), st.integers(0, 2**32 - 1))
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)


@given(EPOCHS)
def test_an_epoch_is_read_back_from_its_text(epoch: Epoch) -> None:
    assert Epoch.parse(str(epoch)) == epoch


@pytest.mark.parametrize(
    "text",
    ["", "12", "0-00000000", "01-00000000", "12-3FA9C2D1", "12-3fa9c2d", "-1-00000000", "8388608-00000000",
     "1-00000000\n", "\u0661-00000000", "12-3fa9c2d1.x"],
)  # fmt: skip
def test_what_is_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an epoch"):
        Epoch.parse(text)


@given(NAMES, NAMES, EPOCHS, NAMES)
def test_a_lane_is_read_back_from_its_subject(region: str, node: str, epoch: Epoch, fact: str) -> None:
    lane = Lane(node, epoch, fact)
    for priority in PRIORITIES:
        assert parse_up(up_subject(region, priority, lane)) == (region, lane)


@pytest.mark.parametrize("name", ["", "a.b", "*", ">", "a b", "a/b", "..", "a\n"])
def test_a_name_that_would_change_a_subjects_meaning_is_refused(name: str) -> None:
    epoch = Epoch(1, 0)
    for make in (
        lambda: up_subject(name, "bulk", Lane("n", epoch, "f")),
        lambda: up_subject("r", "bulk", Lane(name, epoch, "f")),
        lambda: up_subject("r", "bulk", Lane("n", epoch, name)),
        lambda: marks_subject(name),
        lambda: up_subject("r", name, Lane("n", epoch, "f")),
        lambda: stream_subject(name, "bulk"),
        lambda: parse_up(f"up.r.{name}.bulk.1-00000000.f"),
    ):
        with pytest.raises(ValueError, match=r"subject|is not up"):
            make()


def test_a_subject_of_another_kind_is_no_upload() -> None:
    with pytest.raises(ValueError, match="is not up"):
        parse_up("st.local.n1.bulk.1-00000000.f")
    with pytest.raises(ValueError, match="is not up"):
        parse_up("up.local.n1.urgent.1-00000000.f")


@given(st.integers(0, 2**23 - 1), st.integers(0, 2**40 - 1))
def test_a_version_is_a_positive_int64_and_gives_back_its_parts(counter: int, seq: int) -> None:
    version = transaction_version(counter, seq)
    assert 0 <= version < 2**63
    assert split_version(version) == (counter, seq)


@given(*[st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 2**40 - 1))] * 2)
def test_versions_are_ordered_as_counter_and_seq_are(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert (transaction_version(*a) < transaction_version(*b)) == (a < b)


def test_a_repeat_has_another_message_id() -> None:
    lane = Lane("n1", Epoch(12, 0x3FA9C2D1), "too_warm")
    assert transaction_id("n1", "too_warm") == "n1:too_warm"
    assert message_id(lane, 1, 500, "b", 0) == "12-3fa9c2d1.too_warm.1-500.b.0"
    assert message_id(lane, 1, 500, "b", 1) != message_id(lane, 1, 500, "b", 0)


@given(EPOCHS, NAMES, st.integers(1, 2**39), st.integers(0, 2**39), st.integers(0, 99))
def test_a_message_id_gives_back_its_rows_and_attempt(
    epoch: Epoch, fact: str, first: int, more: int, attempt: int
) -> None:
    lane = Lane("n1", epoch, fact)
    said = parse_message_id(lane, message_id(lane, first, first + more, "b00f", attempt))
    assert said == MessageId(first, first + more, attempt)


@pytest.mark.parametrize(
    "text",
    ["", "1-00000000.f.1-2.b", "2-00000000.f.1-2.b.0", "1-00000000.g.1-2.b.0", "1-00000000.f.2-1.b.0",
     "1-00000000.f.0-1.b.0", "1-00000000.f.1-1099511627776.b.0", "1-00000000.f.1-2.b.x", "...."],
)  # fmt: skip
def test_an_id_of_another_lane_or_of_no_rows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not the id of an upload|are no range"):
        parse_message_id(Lane("n1", Epoch(1, 0), "f"), text)


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**32 - 1))
def test_the_epoch_before_is_read_back(version: int, nonce: int) -> None:
    assert parse_prior(prior_text(version, nonce)) == (version, nonce)


@pytest.mark.parametrize("text", ["1", "-1-00000000", "1-0", "9223372036854775808-00000000", "1-00000000 "])
def test_what_names_no_epoch_before_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no transaction version"):
        parse_prior(text)


def test_nothing_is_said_of_an_epoch_before_the_first() -> None:
    assert parse_prior("") == (0, 0)
