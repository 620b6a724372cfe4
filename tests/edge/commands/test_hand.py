"""The hub's time as a node knows it, and a store that is another one after damage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rimward import App
from rimward.edge.clock import NodeClock, Sources
from rimward.edge.commands.file import Boot, CommandFile
from rimward.edge.commands.hand import Hand
from rimward.testing import Site
from rimward.wire.commands import Command, Commands

NOW = 10**18
HOUR = 3_600_000_000_000
app = App("pumps", compat="2026-11-01")


def clock(bound: int | None) -> NodeClock:
    """A wall clock of NOW at a boot time of 50, which something keeps right or nothing."""
    return NodeClock(Sources(lambda: 20, lambda: NOW, lambda: 50, lambda: bound, "boot-2"))


def heard(folder: Path) -> None:
    file = CommandFile(folder, Boot("boot-1", lambda: 100))
    command = Command(1, "key", "pump", "stop", b"", NOW, NOW + HOUR, 10.0, idempotent=False)
    file.take(Commands("hub", NOW + HOUR, (command,)), "a store", asked=100)
    file.close()


@pytest.fixture
def site() -> Iterator[Site]:
    opened = Site(app)
    opened.open()
    yield opened
    opened.close()


def hand_of(site: Site, own: NodeClock, boot: Boot, *, damaged: bool = False) -> Hand:
    return Hand(site.folder / "node", site.node.dispatcher, own, boot, damaged=damaged)


def restart(site: Site) -> None:
    site.node.outbox.commit()
    site.node.kill()


def test_within_a_boot_the_hubs_time_needs_no_clock_that_is_right(site: Site) -> None:
    heard(site.folder / "node")
    hand = hand_of(site, clock(None), Boot("boot-1", lambda: 150))
    hand.look()
    assert hand.hub_time() == NOW + HOUR + 50


def test_after_a_boot_only_a_clock_that_is_kept_right_tells_it(site: Site) -> None:
    heard(site.folder / "node")
    boot = Boot("boot-2", lambda: 50)
    unsure, sure = hand_of(site, clock(None), boot), hand_of(site, clock(1_000), boot)
    unsure.look()
    sure.look()
    assert unsure.hub_time() is None
    assert sure.hub_time() == NOW


def test_a_damaged_outbox_is_another_store_and_does_nothing_that_its_predecessor_was_given(
    site: Site,
) -> None:
    boot = Boot("boot-1", lambda: 150)
    first = hand_of(site, clock(None), boot)
    restart(site)
    again = hand_of(site, clock(None), boot)
    assert again.executor.store == first.executor.store
    heard(site.folder / "node")
    assert not again.look(), "the command was given to another store"
    restart(site)
    damaged = hand_of(site, clock(None), boot, damaged=True)
    assert damaged.executor.store != first.executor.store
    restart(site)
    assert hand_of(site, clock(None), boot).executor.store == damaged.executor.store
