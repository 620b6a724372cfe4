import asyncio

import pytest

from rimward.console import feed as feed_module
from rimward.console.feed import Feed
from rimward.console.model import Seen

from .samples import NOW, SECOND, seen


class Folder:
    """What a feed looks at, as the test says."""

    def __init__(self) -> None:
        self.now: Seen = seen()
        self.looks = 0
        self.failures = 0  # looks that are to fail

    def look(self, *, thorough: bool) -> Seen:
        assert isinstance(thorough, bool)
        self.looks += 1
        if self.looks <= self.failures:
            raise RuntimeError
        return self.now


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(folder: Folder, clock: Clock) -> Feed:
    return Feed(folder.look, run="run", monotonic=clock)


async def test_many_who_ask_at_once_share_one_look(feed: Feed, folder: Folder) -> None:
    await asyncio.gather(*(feed.refresh() for _ in range(5)))
    assert folder.looks == 1


async def test_a_change_names_the_parts_that_changed_and_no_others(
    feed: Feed, folder: Folder, clock: Clock
) -> None:
    await feed.refresh()
    first = feed.version
    folder.now = seen(processes=())
    clock.now += 1
    await feed.refresh()
    version, changed = await feed.changes(first)
    assert version == feed.version != first
    assert set(changed) == {"processes"}


async def test_the_same_again_is_no_new_version(feed: Feed, clock: Clock) -> None:
    await feed.refresh()
    version = feed.version
    clock.now += 1
    await feed.refresh()
    assert feed.version == version


async def test_a_watcher_hears_of_a_change_while_it_waits(feed: Feed, folder: Folder, clock: Clock) -> None:
    await feed.refresh()
    waiting = asyncio.create_task(feed.changes(feed.version))
    await asyncio.sleep(0)
    folder.now = seen(at=NOW + 9 * SECOND)
    clock.now += 1
    await feed.refresh()
    _, changed = await waiting
    assert "verdict" in changed


async def test_without_a_change_a_watcher_still_hears_something(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "BEAT", 0)
    await feed.refresh()
    assert await feed.changes(feed.version) == (feed.version, {})


async def test_a_look_that_fails_does_not_end_the_feed(
    feed: Feed, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "UNWATCHED", 0)
    monkeypatch.setattr(feed_module, "WATCHED", 0)
    folder.failures = 3
    running = asyncio.create_task(feed.run())
    async with asyncio.timeout(10):
        await feed.changes("run-0")
    assert folder.looks > 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
