"""The outbox on its loop: one writer thread, callbacks in order, nothing released before the disk has it."""

import asyncio
import errno
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import Outbox, Put, Transaction, file, shell
from rimward.events import OutboxBroken, OutboxFull, RimwardError, RowTooLarge
from rimward.wire import Mark, Marks

from .outbox_support import query, row, rows, spec


@asynccontextmanager
async def opened(folder: Path, config: OutboxConfig | None = None) -> AsyncGenerator[Outbox]:
    async with Outbox(folder, config or OutboxConfig(), time.time_ns) as outbox:
        yield outbox


def message(value: str) -> Transaction:
    transaction = Transaction()
    transaction.forwards.append(row(value))
    return transaction


class Answers:
    """Callbacks as they came."""

    def __init__(self) -> None:
        self.came: list[tuple[str, RimwardError | None]] = []
        self._news = asyncio.Event()

    def take(self, name: str) -> Callable[[RimwardError | None], None]:
        def done(error: RimwardError | None) -> None:
            self.came.append((name, error))
            self._news.set()

        return done

    async def wait(self, count: int) -> None:
        while len(self.came) < count:
            self._news.clear()
            await self._news.wait()


class Gate:
    """Holds the writer thread at its commits, as a slow disk would; `fail` makes the next one fail."""

    def __init__(self, outbox: Outbox) -> None:
        assert outbox._core is not None
        self._commit = outbox._core.commit
        outbox._core.commit = self._held  # pyright: ignore[reportAttributeAccessIssue] (a disk that waits for the test)
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)
        self.fail: Exception | None = None

    def _held(self, *arguments: object) -> None:
        self.begun.release()
        self.open.wait(30)
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        self._commit(*arguments)  # pyright: ignore[reportArgumentType] (handed on as they came)


async def test_an_answer_comes_only_when_the_row_is_on_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        gate, answers = Gate(outbox), Answers()
        outbox.append(message("a"), answers.take("a"))
        await asyncio.to_thread(gate.begun.acquire)
        for _ in range(10):
            await asyncio.sleep(0)
        assert answers.came == []
        assert await asyncio.to_thread(rows, tmp_path) == []
        gate.open.set()
        await answers.wait(1)
        assert answers.came == [("a", None)]
        assert [value for *_, value in await asyncio.to_thread(rows, tmp_path)] == ["a"]


async def test_answers_come_in_the_order_of_the_messages_and_share_commits(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        gate, answers = Gate(outbox), Answers()
        for n in range(600):
            outbox.append(message(str(n)), answers.take(str(n)))
        gate.open.set()
        await answers.wait(600)
        assert [name for name, _ in answers.came] == [str(n) for n in range(600)]
        assert 2 <= outbox.stats()["commits"] <= 6
    assert [(seq, value) for _, _, seq, value in rows(tmp_path)] == [(n + 1, str(n)) for n in range(600)]


async def test_all_of_a_message_is_in_one_commit(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        answers = Answers()
        transaction = message("a")
        transaction.forwards.append(row("b", "cold"))
        transaction.puts.append(Put("s", "k", b"v"))
        outbox.append(transaction, answers.take("a"))
        await answers.wait(1)
        assert outbox.stats()["commits"] == 1
    assert [(fact, value) for _, fact, _, value in rows(tmp_path)] == [("cold", "b"), ("warm", "a")]
    assert query(tmp_path, "select value from cell") == [(b"v",)]


async def test_a_failed_fsync_takes_everything_back_newest_first_and_the_file_is_left_alone(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as outbox:
        gate, answers, undone = Gate(outbox), Answers(), list[str]()
        for name in ("a", "b"):
            transaction = message(name)
            transaction.undo += [lambda n=name: undone.append(f"{n}1"), lambda n=name: undone.append(f"{n}2")]
            outbox.append(transaction, answers.take(name))
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR | 4 << 8  # SQLITE_IOERR_FSYNC
        gate.fail = error
        gate.open.set()
        await answers.wait(2)
        assert undone == ["b2", "b1", "a2", "a1"]
        assert [(name, type(error)) for name, error in answers.came] == [
            ("a", OutboxBroken),
            ("b", OutboxBroken),
        ]
        for refused in (
            lambda: outbox.admit(spec(priority="critical"), 10, ()),
            lambda: outbox.append(message("c"), None),
        ):
            with pytest.raises(OutboxBroken, match="disk I/O error; the node starts anew"):
                refused()
        assert outbox.stats()["broken"] == 1
    async with opened(tmp_path) as outbox:
        assert outbox.stats()["broken"] == 0
        outbox.append(message("d"), None)
    assert [value for *_, value in rows(tmp_path)] == ["d"]
    copied = await asyncio.to_thread(lambda: list(tmp_path.glob("*.abandoned")))
    assert len(copied) == 1, "the next start begins with a copy"


async def test_a_broken_outbox_says_when_its_disk_can_be_written_again_and_not_before(tmp_path: Path) -> None:
    node = tmp_path / "node"
    await asyncio.to_thread(node.mkdir)
    async with opened(node) as outbox:
        gate, answers = Gate(outbox), Answers()
        looked, looks = asyncio.Event(), list[bool]()
        loop = asyncio.get_running_loop()

        def look(path: Path) -> bool:
            looks.append(file.writable(path))
            loop.call_soon_threadsafe(looked.set)
            return looks[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shell, "writable", look)
            await asyncio.to_thread(node.rename, tmp_path / "away")
            gate.fail = sqlite3.OperationalError("disk I/O error")
            gate.open.set()
            outbox.append(message("a"), answers.take("a"))
            await answers.wait(1)
            await asyncio.wait_for(looked.wait(), 10)
            assert not outbox.mended.is_set()
            await asyncio.to_thread((tmp_path / "away").rename, node)
            await asyncio.wait_for(outbox.mended.wait(), 10)
        assert looks[0] is False
        assert looks[-1] is True
        with pytest.raises(OutboxBroken):
            outbox.append(message("b"), None)


async def test_a_full_disk_refuses_until_there_is_room_and_numbers_have_no_gap(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        answers = Answers()
        outbox.append(message("a"), answers.take("a"))
        await answers.wait(1)
        pages = query(tmp_path, "pragma page_count")[0][0]
        assert outbox._core is not None
        db = outbox._core._db
        db.execute(f"pragma max_page_count={pages}")
        outbox.touch("s", "k", lambda: b"v")
        outbox.append(message("x" * 100_000), answers.take("b"))
        await answers.wait(2)
        assert isinstance(answers.came[1][1], OutboxFull)
        assert (outbox.stats()["full"], outbox.stats()["broken"]) == (1, 0)
        db.execute("pragma max_page_count=1000000")
        outbox.append(message("c"), answers.take("c"))
        await answers.wait(3)
        assert answers.came[2] == ("c", None)
        assert outbox.stats()["full"] == 0
    assert [(seq, value) for _, _, seq, value in rows(tmp_path)] == [(1, "a"), (2, "c")]
    assert query(tmp_path, "select value from cell") == [(b"v",)], "a touched value waits for the next commit"


async def test_an_outbox_at_its_cap_refuses_and_takes_rows_again_once_the_lake_has_some(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, OutboxConfig(max_bytes=50_000, when_full="refuse")) as outbox:
        answers = Answers()
        outbox.append(message("x" * 40_000), answers.take("a"))
        await answers.wait(1)
        with pytest.raises(
            OutboxFull, match="the limit is 50000; a bulk fact of about 20000 bytes is refused"
        ):
            outbox.admit(spec(priority="bulk"), 20_000, ())
        epoch = outbox.epoch
        marks = Marks("node-1", (Mark("warm", "t", 0, 1, epoch.counter, epoch.nonce, 1),))
        (tmp_path / "marks").write_bytes(marks.encode())
        while outbox.stats()["bytes"]:  # noqa: ASYNC110 (the writer's thread looks once a second)
            await asyncio.sleep(0.02)
        outbox.admit(spec(priority="bulk"), 20_000, ())


async def test_a_row_that_no_envelope_could_carry_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        with pytest.raises(RowTooLarge, match="Warm: a row of about 400000 bytes, the limit is 327680: keep"):
            outbox.admit(spec(), 400_000, ("x" * 400_000,))
        noise = secrets.token_bytes(80_000)
        with pytest.raises(
            RowTooLarge, match=r"Warm: a row of 80\d\d\d bytes compressed, the limit is 65536"
        ):
            outbox.admit(spec(), 80_060, (noise,))
        outbox.admit(spec(), 200_000, ("what compresses well " * 9_000,))


async def test_what_waits_is_committed_at_the_close(tmp_path: Path) -> None:
    answers = Answers()
    async with opened(tmp_path) as outbox:
        for n in range(300):
            outbox.append(message(str(n)), answers.take(str(n)))
        outbox.touch("s", "k", lambda: b"v")
    assert len(answers.came) == len(rows(tmp_path)) == 300
    assert query(tmp_path, "select value from cell") == [(b"v",)]


@pytest.mark.parametrize("marks", [b"", b"\xc1", b"\x93\x01\x02\x03"])
async def test_marks_that_make_no_sense_free_nothing(tmp_path: Path, marks: bytes) -> None:
    (tmp_path / "marks").write_bytes(marks)
    looked = list[bool]()
    async with opened(tmp_path, OutboxConfig(keep_after_commit=0)) as outbox:
        answers = Answers()
        for n in range(3):
            outbox.append(message(str(n)), answers.take(str(n)))
        await answers.wait(3)
        assert outbox._core is not None
        outbox._core.link_up = lambda: looked.append(True)  # the step after marks
        await told(tmp_path, "link", '{"up": true, "since": 1}', lambda: bool(looked))
        assert len(await asyncio.to_thread(rows, tmp_path)) == 3


async def told(folder: Path, name: str, note: str, heard: Callable[[], bool]) -> None:
    """Write a note as the deep process does, and wait until the writer has acted on it."""
    draft = folder / f"{name}.new"
    await asyncio.to_thread(draft.write_text, note)
    await asyncio.to_thread(draft.rename, folder / name)
    while not heard():  # noqa: ASYNC110 (the writer's thread looks once a second)
        await asyncio.sleep(0.02)


async def test_a_note_to_rekey_moves_the_running_epoch_and_is_deleted_when_that_is_on_disk(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as outbox:
        answers = Answers()
        outbox.append(message("a"), answers.take("a"))
        await answers.wait(1)
        clash = outbox.epoch.nonce ^ 1
        note = f'{{"above": 40, "nonces": {{"1": {clash}}}}}'
        await told(tmp_path, "rekey", note, lambda: not (tmp_path / "rekey").exists())
        assert outbox.epoch.counter == 42, "what comes now is of a new start"
        outbox.append(message("b"), answers.take("b"))
        await answers.wait(2)
    assert [(counter, seq, value) for counter, _, seq, value in rows(tmp_path)] == [
        (41, 1, "a"),
        (42, 1, "b"),
    ]


async def test_each_time_the_link_comes_back_new_rows_may_overtake_once(tmp_path: Path) -> None:
    live = Transaction()
    live.forwards.append(row("a", live_first=True))
    async with opened(tmp_path) as outbox:
        answers = Answers()
        outbox.append(live, answers.take("a"))
        await answers.wait(1)
        core = outbox._core
        assert core is not None
        await told(
            tmp_path, "link", '{"up": true, "since": 2}', lambda: core._live_first.lane("warm") != "warm"
        )
        outbox.append(message("b"), answers.take("b"))
        await answers.wait(2)
    assert [(lane, value) for _, lane, _, value in rows(tmp_path)] == [("warm", "a"), ("warm-1", "b")]


async def test_a_file_that_tears_between_commits_is_not_written_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as outbox:
        await told(
            tmp_path, "damaged", '{"ranges": [], "torn": true}', lambda: bool(outbox.stats()["broken"])
        )
        with pytest.raises(OutboxBroken, match="malformed; the node starts anew"):
            outbox.append(message("a"), None)
        assert await asyncio.to_thread((tmp_path / "outbox.broken").exists)


async def test_on_a_disk_that_takes_nothing_the_node_starts_and_refuses_what_is_durable(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as outbox:
        outbox.touch("s", "k", lambda: b"v")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "note_counter", full)
        async with opened(tmp_path) as outbox:
            assert outbox.load("s") == {"k": b"v"}
            for refused in (lambda: outbox.admit(spec(), 10, ()), lambda: outbox.append(message("c"), None)):
                with pytest.raises(OutboxBroken, match="no space left"):
                    refused()
            assert (outbox.fill(), outbox.stats()["broken"], outbox.epoch.counter) == (0.0, 1, 0)
            await asyncio.wait_for(outbox.mended.wait(), 10)
    async with opened(tmp_path) as outbox:
        outbox.append(message("d"), None)
    assert [value for *_, value in rows(tmp_path)] == ["d"]


async def test_a_folder_that_is_not_there_is_no_disk_that_will_mend(tmp_path: Path) -> None:
    with pytest.raises(OutboxBroken, match="unable to open"):
        async with opened(tmp_path / "missing"):
            pass


async def test_a_value_that_can_not_be_encoded_keeps_nothing_else_from_the_disk(tmp_path: Path) -> None:
    def broken() -> bytes:
        raise OverflowError

    answers = Answers()
    async with opened(tmp_path) as outbox:
        outbox.touch("s", "bad", broken)
        outbox.touch("s", "good", lambda: b"v")
        outbox.append(message("a"), answers.take("a"))
        await answers.wait(1)
        outbox.append(message("b"), answers.take("b"))
        await answers.wait(2)
        assert outbox.stats()["unencodable"] == 1
    assert answers.came == [("a", None), ("b", None)]
    async with opened(tmp_path) as outbox:
        assert outbox.load("s") == {"good": b"v"}
