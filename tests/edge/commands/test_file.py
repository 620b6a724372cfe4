"""`commands.db`: what the deep process keeps, and what the I/O process reads of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rimward.edge.commands.file import KEPT, Boot, CommandFile, CommandReader
from rimward.wire.commands import Command, Commands

NOW = 10**18
BOOT = Boot("boot-1", lambda: 1000)


def command(number: int, expires: int = NOW + 10**12) -> Command:
    return Command(number, f"key-{number}", "pump", "stop", b"{}", NOW, expires, 10.0, idempotent=False)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[CommandFile]:
    opened = CommandFile(tmp_path, BOOT)
    yield opened
    opened.close()


def test_what_was_given_is_read_by_the_other_process_with_the_hubs_time(
    tmp_path: Path, file: CommandFile
) -> None:
    reader = CommandReader(tmp_path)
    assert file.wanted("a").last == 0
    assert file.take(Commands("hub", NOW, (command(3), command(5))), "a", asked=900) == 2
    assert reader.look()
    assert [one.number for one, _ in reader.commands] == [3, 5]
    assert {store for _, store in reader.commands} == {"a"}
    assert (reader.heard.boot, reader.heard.ahead) == ("boot-1", NOW - 900)
    assert not reader.look(), "nothing has changed"
    wanted = file.wanted("a")
    assert (wanted.hub, wanted.last) == ("hub", 5)


def test_an_answer_that_was_lost_is_taken_again_without_doubling(file: CommandFile) -> None:
    answer = Commands("hub", NOW, (command(3),))
    assert file.take(answer, "a", asked=900) == 1
    assert file.take(answer, "a", asked=900) == 0
    assert file.wanted("a").room == 64


def test_another_store_or_another_hub_begins_anew(tmp_path: Path, file: CommandFile) -> None:
    file.take(Commands("hub", NOW, (command(3),)), "a", asked=900)
    assert file.wanted("b").last == 0
    file.take(Commands("hub", NOW, (command(7),)), "b", asked=900)
    reader = CommandReader(tmp_path)
    reader.look()
    assert [(one.number, store) for one, store in reader.commands] == [(7, "b")]
    file.take(Commands("another hub", NOW, ()), "b", asked=900)
    assert file.wanted("b").last == 0


def test_a_start_goes_on_where_the_last_one_was(tmp_path: Path, file: CommandFile) -> None:
    file.take(Commands("hub", NOW, (command(3),)), "a", asked=900)
    again = CommandFile(tmp_path, Boot("boot-2", lambda: 5))
    assert again.wanted("a").last == 3
    again.take(Commands("hub", NOW + 50, ()), "a", asked=5)
    assert (again.heard.boot, again.heard.ahead) == ("boot-2", NOW + 45)
    again.close()


def test_what_is_over_is_forgotten(tmp_path: Path, file: CommandFile) -> None:
    late = command(4, expires=NOW - KEPT - 10**12)
    file.take(Commands("hub", NOW, (command(3), late, command(5))), "a", asked=900)
    file.prune(["key-3", "key-of-another"])
    reader = CommandReader(tmp_path)
    reader.look()
    assert [one.number for one, _ in reader.commands] == [5]
