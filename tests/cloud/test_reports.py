"""What nodes report, kept by the hub: the ledger of a hub that has no node's disk."""

from pathlib import Path

from deltalake import DeltaTable

from rimward.cloud.api import lanes_stored
from rimward.cloud.ledger.accounting import balances, selections
from rimward.cloud.ledger.auditing import Auditing, audit
from rimward.cloud.ledger.counting import Counted, count
from rimward.cloud.ledger.reports import OUTBOXES, Reports, read_reports, settle
from rimward.cloud.ledger.stored import Selection
from rimward.cloud.store import Records, connect
from rimward.wire import Hello, Mark, Tally

from .cloud_support import COLD, envelope, ingest

SECOND = 1_000_000_000


def hello(outbox: str, forwarded: int, seq: int, *, counter: int = 1, waiting: int | None = None) -> Hello:
    """Return a report of a lane whose mark the node knows to be at `seq`."""
    tally = Tally("warm", forwarded, {}, forwarded - seq if waiting is None else waiting, 5)
    mark = Mark("warm", "t", 0, 1, counter, 0xA, seq)
    return Hello("n1", "local", "boot", outbox, ((counter, 0xA),), (mark,), (tally,))


def note(folder: Path, report: Hello, now: int = 0) -> bool:
    reports = Reports(folder / "hub" / "hub.db")
    try:
        return reports.note(report, now)
    finally:
        reports.close()


def test_a_report_is_measured_by_what_its_node_knew_and_not_by_what_came_since(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    lake.take("warm", [envelope(1, 7)])
    note(tmp_path, hello("o1", 10, 7))
    lake.take("warm", [envelope(8, 30)])
    (balance,) = audit(tmp_path)
    assert (balance.forwarded, balance.stored, balance.waiting, balance.missing) == (10, 7, 3, 0)


def test_a_mark_in_the_middle_of_a_file_is_counted_to_the_row(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 30), envelope(1, 9, node="n2")])
    note(tmp_path, hello("o1", 20, 11))
    (balance,) = audit(tmp_path)
    assert (balance.stored, balance.missing) == (11, 0)


def test_rows_that_a_report_calls_stored_and_that_no_table_has_are_missing_twice_before_it_is_told(
    tmp_path: Path,
) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 7)])
    note(tmp_path, hello("o1", 12, 9))
    records = Records(tmp_path / "hub" / "hub.db")
    auditing = Auditing(tmp_path, records)
    assert auditing.look() == []
    assert [one.missing for one in auditing.look()] == [2]
    auditing.look()
    records.close()
    db = connect(tmp_path / "hub" / "hub.db")
    assert db.execute("select value from counter where name = 'ledger_off'").fetchall() == [(1,)]
    db.close()


def test_losses_and_dead_letters_up_to_the_report_are_part_of_its_sum(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    lake.take("warm", [envelope(1, 4), envelope(5, 9, lost="shed"), envelope(10, 12)])
    lake.take("warm", [envelope(13, 20, lost="shed")])
    note(tmp_path, hello("o1", 15, 12))
    (balance,) = audit(tmp_path)
    assert (balance.stored, balance.causes, balance.waiting, balance.missing) == (7, {"shed": 5}, 3, 0)


def test_another_outbox_of_a_node_leaves_what_the_first_had_unknown(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    lake.take("warm", [envelope(1, 7)])
    note(tmp_path, hello("o1", 2, 2), 10 * SECOND)
    note(tmp_path, hello("o1", 12, 7), 15 * SECOND)
    lake.take("warm", [envelope(1, 3, (2, 0xB))])
    note(tmp_path, hello("o2", 3, 3, counter=2), 25 * SECOND)
    (balance,) = audit(tmp_path)
    assert balance.unknown == (5, 25), "5 waited; 2 rows a second for 10 s may have come after it told"
    assert (balance.stored, balance.missing) == (10, None)


def test_a_node_may_not_fill_the_hub_with_outboxes(tmp_path: Path) -> None:
    kept = [note(tmp_path, hello(f"o{n}", 1, 1, counter=n)) for n in range(1, OUTBOXES + 2)]
    assert kept == [True] * OUTBOXES + [False]
    assert len(read_reports(tmp_path)) == OUTBOXES


def test_without_reports_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert read_reports(tmp_path) == []
    connect(tmp_path / "hub" / "hub.db").close()
    assert read_reports(tmp_path) == []


def test_a_file_is_counted_once_and_forgotten_with_it(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    lake.take("warm", [envelope(1, 7)])
    table = DeltaTable(str(tmp_path / "lake" / "warm"))
    counted = Counted(tmp_path / "counted.db")
    assert count(table, "warm", counted.parts(table, "warm"), Selection("n1")) == 7
    counted._db.execute("update part set rows = 70")  # what is remembered is believed
    assert count(table, "warm", counted.parts(table, "warm"), Selection("n1")) == 70
    lake.take("warm", [envelope(8, 9)])
    table.update_incremental()
    table.optimize.compact()
    assert count(table, "warm", counted.parts(table, "warm"), Selection("n1")) == 9
    assert counted._db.execute("select count(*) from file").fetchone() == (1,)
    counted.close()


def test_a_data_file_that_is_gone_counts_nothing_whatever_the_log_says(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 7)])
    note(tmp_path, hello("o1", 7, 7))
    assert audit(tmp_path)[0].missing == 0
    (file,) = (tmp_path / "lake" / "warm").glob("_day=*/**/*.parquet")
    file.unlink()
    assert audit(tmp_path)[0].missing == 7


def test_what_was_counted_may_be_damaged_or_deleted_at_any_time(tmp_path: Path) -> None:
    ingest(tmp_path).take("cold", [envelope(1, 7, fact=COLD)])
    (tmp_path / "hub").mkdir()
    for content in (b"", b"nonsense" * 100):
        (tmp_path / "hub" / "counted.db").write_bytes(content)
        assert [one.rows for one in lanes_stored(tmp_path)] == [7]


def test_several_nodes_each_have_their_sum(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 7), envelope(1, 3, node="n2")])
    note(tmp_path, hello("o1", 8, 7))
    accounts = read_reports(tmp_path)
    found = balances(accounts, lanes_stored(tmp_path, selections(accounts)))
    assert [(one.node, one.forwarded, one.stored) for one in found] == [("n1", 8, 7), ("n2", 0, 3)]


def test_a_lost_disk_of_which_a_person_has_taken_note_is_no_alarm_and_stays_unknown(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 7)])
    note(tmp_path, hello("o1", 10, 7))
    note(tmp_path, hello("o2", 1, 0, counter=5), 3 * SECOND)
    (before,) = audit(tmp_path)
    assert (before.unknown, before.settled) == ((3, 4), False)
    assert [settle(tmp_path, node) for node in ("n2", "n1", "n1")] == [0, 1, 0]
    (after,) = audit(tmp_path)
    assert (after.unknown, after.missing, after.settled) == (before.unknown, None, True)
    note(tmp_path, hello("o3", 1, 0, counter=9), 6 * SECOND)
    assert not audit(tmp_path)[0].settled, "the next disk that is lost is another"
