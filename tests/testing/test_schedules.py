"""Cron lines and steady beats in a Site: at their times, what was missed once, in one transaction."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rimward.testing import Site

from .nightly import Night, app, broken

MIDNIGHT = datetime(2026, 3, 28, tzinfo=UTC)  # a day before the clocks of Berlin go forward


@pytest.fixture(autouse=True)
def nothing_is_broken() -> Iterator[None]:
    yield
    broken.clear()


def nights(site: Site, where: str) -> list[str]:
    return [f"{row.due:%d %H:%M}" for row in site.rows(Night) if row.where == where]


async def test_a_cron_line_runs_at_its_local_time_at_the_edge_and_in_the_cloud() -> None:
    async with Site(app, start=MIDNIGHT) as site:
        await site.advance("2d")
        await site.settle()
        assert nights(site, "edge") == nights(site, "cloud") == ["28 02:00", "29 01:00"]
        assert nights(site, "shift") == [
            "28 08:00",
            "28 16:00",
            "29 00:00",
            "29 08:00",
            "29 16:00",
            "30 00:00",
        ]
        assert all(row.at == row.due for row in site.rows(Night))


async def test_what_a_node_missed_while_it_was_off_runs_once_and_says_when_it_was_due(tmp_path: Path) -> None:
    async with Site(app, start=MIDNIGHT, data=tmp_path) as site:
        await site.advance("1h")
    async with Site(app, start=MIDNIGHT + timedelta(days=5), data=tmp_path) as site:
        await site.settle()
        edge = [(row.due.day, row.at.day) for row in site.rows(Night) if row.where == "edge"]
        cloud = [(row.due.day, row.at.day) for row in site.rows(Night) if row.where == "cloud"]
        assert edge == cloud == [(1, 2)]
        assert nights(site, "shift") == ["02 00:00"]


async def test_a_run_that_was_on_disk_is_not_repeated_and_one_that_was_not_is_with_its_id() -> None:
    async with Site(app, start=MIDNIGHT) as site:
        site.kill9_at("before-commit")
        await site.advance("3h")
        site.kill9_at("after-commit")
        await site.advance("1d")
        await site.advance("1d")
        await site.settle()
        assert nights(site, "edge") == ["28 02:00", "29 01:00", "30 01:00"]
        assert len({row.event for row in site.rows(Night) if row.where == "edge"}) == 3


async def test_a_run_without_room_for_its_fact_is_run_after_a_restart() -> None:
    async with Site(app, start=MIDNIGHT) as site:
        site.node.outbox.core.room.limit = 0
        await site.advance("2h")
        assert site.node.dispatcher.counters["crons_put_off"] > 0
        await site.kill9()
        await site.settle()
        assert nights(site, "edge") == ["28 02:00"]


async def test_a_scheduled_cloud_function_that_raises_is_tried_again_and_buried_with_its_time() -> None:
    broken.append("cloud")
    async with Site(app, start=MIDNIGHT) as site:
        await site.advance("3h")
        [letter] = site.dead_letters
        assert (letter.function, letter.detail) == ("cloud", "Trouble: ")
        assert len(site.errors) == 1
        broken.clear()
        await site.advance("1d")
        await site.settle()
        assert nights(site, "cloud") == ["29 01:00"]


async def test_a_cron_function_at_the_edge_that_raises_is_buried_and_runs_the_next_time() -> None:
    broken.append("edge")
    async with Site(app, start=MIDNIGHT) as site:
        await site.advance("3h")
        assert [letter.function for letter in site.dead_letters] == ["edge"]
        broken.clear()
        await site.advance("1d")
        await site.settle()
        assert Counter(row.where for row in site.rows(Night))["edge"] == 1
