"""Buckets and shares: every node has one, and the bus counts the same."""

import pytest

from rimward.cloud.ingest.buckets import BUCKETS, bucket_of, filters, parse_stored, share_of
from rimward.wire import Epoch, Lane

# As nats-server 2.15 puts them by {{partition(16,1)}}; test_shares.py asks a real one.
KNOWN = {"n1": 0, "n2": 9, "truck-77": 13}


def test_buckets_are_those_of_the_bus() -> None:
    assert {node: bucket_of(node) for node in KNOWN} == KNOWN


@pytest.mark.parametrize("shares", [1, 2, 3, 5, 16])
def test_every_bucket_is_in_one_share(shares: int) -> None:
    found = [one for share in range(shares) for one in filters("eu", "normal", share, shares)]
    assert len(found) == len(set(found)) == BUCKETS
    for node in KNOWN:
        mine = filters("eu", "normal", share_of(node, shares), shares)
        assert f"up.eu.{bucket_of(node)}.*.normal.>" in mine


def test_a_stored_subject_is_read_and_one_that_lies_about_its_bucket_is_not() -> None:
    region, lane = parse_stored("up.eu.9.n2.normal.1-0000000a.warm-2")
    assert (region, lane, lane.table) == ("eu", Lane("n2", Epoch(1, 10), "warm-2"), "warm")
    for wrong in (
        "up.eu.8.n2.normal.1-0000000a.warm", "up.eu.n2.normal.1-0000000a.warm",
        "up.eu.x.n2.normal.1-0000000a.warm",
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"up\."):
            parse_stored(wrong)
