# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""What cloud functions do: effects that commit with their offset; keys, retries, dead letters, fences."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable, write_deltalake

from rimward.cloud.functions.dead import hasten, list_dead, list_waiting, replay
from rimward.cloud.functions.forwarding import Forwarding
from rimward.cloud.functions.journal import Fenced
from rimward.console.ledger import read_ledger

from .functions_support import Cloud

SECOND = 1_000_000_000
COUNTING = """
    @app.state(key="n")
    class Count(Struct):
        times: int = 0
    @app.cloud(Seen)
    def each(seen: Seen, state: State[Count]) -> None:
        state.value.times += 1
        note(seen.n)
"""


class Time:
    def __init__(self) -> None:
        self.now = 10**18

    def __call__(self) -> int:
        return self.now


def counts(cloud: Cloud) -> dict[str, int]:
    rows = cloud.query("select key, value from function_cell")
    return {key: msgspec.msgpack.decode(value)["times"] for key, value in rows}


def test_a_failing_event_holds_up_its_own_key_alone_and_all_come_in_their_order(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        BROKEN = LOG.with_suffix(".broken")
        @app.cloud(Seen, key="parity", backoff="10s", retries=3)
        def each(seen: Seen) -> None:
            if seen.n == 2 and BROKEN.exists():
                raise OSError("the pager is down")
            note(seen.n)
    """)  # fmt: skip
    broken, time = tmp_path / "app.broken", Time()
    broken.touch()
    cloud.rows(1, 6)
    worker = cloud.worker(time)
    worker.run_once()
    assert cloud.log() == ["1", "3", "5"]
    assert [event.reason for event in list_waiting(tmp_path)] == ["OSError: the pager is down", None, None]
    broken.unlink()
    worker.run_once()
    assert cloud.log() == ["1", "3", "5"], "its time has not come"
    time.now += 13 * SECOND
    worker.run_once()
    assert cloud.log() == ["1", "3", "5", "2", "4", "6"]
    assert list_waiting(tmp_path) == []


def test_an_event_that_blocks_its_key_is_tried_until_it_succeeds_and_is_never_given_up(
    tmp_path: Path,
) -> None:
    cloud = Cloud(tmp_path, """
        BROKEN = LOG.with_suffix(".broken")
        @app.cloud(Seen, key="parity", backoff="1s", retries=1, on_fail="block")
        def each(seen: Seen) -> None:
            if seen.n == 1 and BROKEN.exists():
                raise OSError("no")
            note(seen.n)
    """)  # fmt: skip
    broken, time = tmp_path / "app.broken", Time()
    broken.touch()
    cloud.rows(1, 4)
    worker = cloud.worker(time)
    for _ in range(5):
        worker.run_once()
        time.now += 2 * SECOND
    assert cloud.log() == ["2", "4"]
    assert [(event.key, event.tries) for event in list_waiting(tmp_path)] == [("odd", 2), ("odd", 0)]
    assert list_dead(tmp_path) == []
    broken.unlink()
    assert hasten(tmp_path, [event.id for event in list_waiting(tmp_path)]) == 1
    worker.run_once()
    assert cloud.log() == ["2", "4", "1", "3"]


def test_a_dead_letter_is_replayed_with_the_id_that_it_had(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        BROKEN = LOG.with_suffix(".broken")
        @app.cloud(Seen, retries=0)
        def each(seen: Seen, event: Event) -> None:
            if BROKEN.exists():
                raise OSError("no")
            note(f"{seen.n} {seen.tags} {event.id}")
    """)  # fmt: skip
    (tmp_path / "app.broken").touch()
    cloud.rows(1, 2)
    cloud.work()
    dead = list_dead(tmp_path)
    assert [(letter.function, letter.seq, letter.reason) for letter in dead] == [
        ("each", 1, "OSError: no"),
        ("each", 2, "OSError: no"),
    ]
    (tmp_path / "app.broken").unlink()
    assert replay(tmp_path, [dead[0].id, 999], 10**18) == 1
    cloud.work()
    assert cloud.log() == ["1 ['a'] n1:seen:1:1"]
    assert [letter.seq for letter in list_dead(tmp_path)] == [2]


def test_one_bad_row_of_a_batch_does_not_take_the_others_along(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        @app.cloud(Seen, retries=1)
        def all_of_them(seen: list[Seen]) -> None:
            if any(one.n == 2 for one in seen):
                raise ValueError("two")
            note([one.n for one in seen])
    """)  # fmt: skip
    cloud.rows(1, 3)
    cloud.work()
    assert cloud.log() == ["[1]", "[3]"]
    assert [letter.seq for letter in list_dead(tmp_path)] == [2]


def test_of_two_workers_alive_at_once_one_does_an_effect_and_the_other_leaves_nothing(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    older = cloud.worker()
    cloud.rows(1, 3)
    newer = cloud.worker()
    with pytest.raises(Fenced):
        older.run_once()
    assert counts(cloud) == {}
    newer.run_once()
    assert counts(cloud) == {"1": 1, "2": 1, "3": 1}
    with pytest.raises(Fenced):
        older.run_once()
    assert counts(cloud) == {"1": 1, "2": 1, "3": 1}


def test_an_offset_that_another_has_moved_takes_nothing_from_who_thought_it_was_elsewhere(
    tmp_path: Path,
) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 2)
    worker = cloud.worker()
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as db:
        db.execute("insert into function_offset values ('each', 'a table', 7, 0)")
    with pytest.raises(Fenced, match="moved its offset"):
        worker.run_once()
    assert counts(cloud) == {}


@pytest.mark.parametrize(("place", "called"), [("functions.called", 2), ("functions.committed", 1)])
def test_a_worker_killed_around_its_commit_has_every_effect_once(
    tmp_path: Path, place: str, called: int
) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 2)
    command = [sys.executable, "-m", "rimward.cloud.functions.worker", str(cloud.app), str(tmp_path)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        check=False,
        env={**os.environ, "RIMWARD_FAILPOINTS": f"{place}=kill@1"},
    )
    assert done.returncode == -signal.SIGKILL
    cloud.work()
    assert counts(cloud) == {"1": 1, "2": 1}
    assert cloud.log().count("1") == called, "outside effects are at least once"


def test_a_look_reads_what_was_added_since_and_no_older_file(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 3)
    cloud.work()
    for file in (tmp_path / "lake" / "seen").rglob("*.parquet"):
        file.write_bytes(b"whoever reads this fails")
    cloud.rows(4, 5)
    cloud.work()
    assert cloud.log() == ["1", "2", "3", "4", "5"]


def test_rows_that_were_compacted_do_not_come_again_and_none_is_missed_when_their_files_are_gone(
    tmp_path: Path,
) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 2)
    cloud.work()
    cloud.rows(3, 4)
    cloud.rows(5, 6)
    table = DeltaTable(str(tmp_path / "lake" / "seen"))
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    cloud.ingest = cloud.opened()
    cloud.work()
    assert cloud.log() == ["1", "2", "3", "4", "5", "6"]
    cloud.rows(7, 7)
    cloud.work()
    assert cloud.log()[6:] == ["7"]


def test_a_restored_lake_gets_its_rows_again_and_their_effects_stay_as_they_are(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 2)
    cloud.rows(3, 4)
    cloud.work()
    path = str(tmp_path / "lake" / "seen")
    DeltaTable(path).restore(DeltaTable(path).version() - 1)
    assert DeltaTable(path).to_pyarrow_table(columns=["n"]).num_rows == 2
    cloud.again(3, 5)
    cloud.work()
    assert cloud.log() == ["1", "2", "3", "4", "5"]
    assert counts(cloud) == dict.fromkeys("12345", 1)


def test_a_row_that_was_repaired_comes_late_and_runs_its_functions(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 3)
    cloud.work()
    table = DeltaTable(str(tmp_path / "lake" / "seen"))
    rows = table.to_pyarrow_table().slice(0, 1)
    write_deltalake(table, rows.set_column(0, "n", [[9]]), mode="append")
    cloud.work()
    assert cloud.log() == ["1", "2", "3", "9"]


def test_state_is_forgotten_when_its_time_is_over(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        @app.state(key="parity", expires="1m")
        class Count(Struct):
            times: int = 0
        @app.cloud(Seen)
        def each(seen: Seen, state: State[Count], all_of_them: States[Count]) -> None:
            note(f"{seen.n} {state.key} {state.value.times} {dict(all_of_them.items())}")
            state.value.times += 1
    """)  # fmt: skip
    time = Time()
    worker = cloud.worker(time)
    cloud.rows(1, 3)
    worker.run_once()
    time.now += int(timedelta(minutes=2) / timedelta(microseconds=1)) * 1000
    cloud.rows(4, 4)
    worker.run_once()
    assert cloud.log() == [
        "1 odd 0 {}",
        "2 even 0 {'odd': Count(times=1)}",
        "3 odd 1 {'odd': Count(times=1), 'even': Count(times=1)}",
        "4 even 0 {}",
    ]


def test_a_call_that_raises_leaves_neither_state_nor_forwards_nor_commands(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, COUNTING + """
        app.forward(Seen(9, [], "odd"))
        app.command("pump", "stop")
        if seen.n == 1:
            raise ValueError("one")
    """)  # fmt: skip
    cloud.rows(1, 1)
    cloud.work()
    assert counts(cloud) == {}
    assert cloud.query("select * from hub_row") == cloud.query("select * from command") == []


def test_what_the_cloud_does_not_have_says_what_to_use_instead(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        @app.cloud(Seen, retries=0)
        def each(seen: Seen) -> None:
            app.publish("a/b", {})
    """)  # fmt: skip
    cloud.rows(1, 1)
    cloud.work()
    (letter,) = list_dead(tmp_path)
    assert letter.reason.startswith("NotHere: app.publish was called in a cloud function")
    assert "use app.command for a device" in letter.reason


def test_positions_and_dead_letters_of_an_older_version_are_taken_over(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, COUNTING)
    cloud.rows(1, 3)
    (tmp_path / "hub").mkdir()
    with sqlite3.connect(tmp_path / "hub" / "hub.db") as db:
        db.execute(
            "create table position (function text, node text, version integer, primary key (function, node)) "
            "without rowid"
        )
        db.execute("insert into position values ('each', 'n1', ?)", ((1 << 40) + 2,))
        db.execute(
            "create table dead_function (id integer primary key, at integer, function text, node text, "
            "counter integer, seq integer, reason text)"
        )
        db.execute("insert into dead_function values (1, 5, 'each', 'n1', 1, 1, 'ValueError: one')")
    cloud.work()
    assert cloud.log() == ["3"]
    assert [(letter.seq, letter.row) for letter in list_dead(tmp_path)] == [(1, None)]
    assert replay(tmp_path, [1], 10**18) == 0


FORWARDING = """
    @app.fact(name="doubled")
    class Doubled(Struct):
        n: int
        at: datetime
    @app.cloud(Seen)
    def double(seen: Seen) -> None:
        app.forward(Doubled(2 * seen.n, app.now()))
"""


def drained(cloud: Cloud) -> Forwarding:
    return Forwarding(cloud.folder / "hub" / "hub.db", cloud.opened(), lambda: 10**18)


def test_what_a_function_forwards_ends_in_its_table_once_however_often_a_step_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud(tmp_path, FORWARDING)
    cloud.rows(1, 3)
    cloud.work()

    def dies(name: str) -> None:
        if name == "functions.forwarded":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rimward.cloud.functions.forwarding.reach", dies)
        with pytest.raises(KeyboardInterrupt):
            drained(cloud).drain()
    assert drained(cloud).drain() == 0
    cloud.rows(4, 4)
    cloud.work()
    assert drained(cloud).drain() == 1
    (balance,) = [one for one in read_ledger(tmp_path) if one.node == "hub"]
    assert (balance.fact, balance.forwarded, balance.stored, balance.waiting) == ("doubled", 4, 4, 0)
    table = DeltaTable(str(tmp_path / "lake" / "doubled")).to_pyarrow_table().sort_by("n")
    assert table.column("n").to_pylist() == [2, 4, 6, 8]
    assert set(table.column("_node").to_pylist()) == {"hub"}
    assert table.column("_event").to_pylist()[0] == "n1:seen:1:1"


def test_a_hub_db_that_was_restored_from_a_copy_gives_no_number_twice(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, FORWARDING)
    cloud.rows(1, 2)
    cloud.work()
    file = tmp_path / "hub" / "hub.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    copy = file.read_bytes()
    cloud.rows(3, 4)
    cloud.work()
    assert drained(cloud).drain() == 4
    for part in tmp_path.glob("hub/hub.db*"):
        part.unlink()
    file.write_bytes(copy)
    cloud.work()
    assert drained(cloud).drain() == 2, "functions run again on what the copy does not know"
    table = DeltaTable(str(tmp_path / "lake" / "doubled")).to_pyarrow_table()
    assert sorted(table.column("n").to_pylist()) == [2, 4, 6, 6, 8, 8]
