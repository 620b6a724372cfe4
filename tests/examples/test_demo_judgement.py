"""The demo's verdict: fine only if every stage did its work."""

import io
import sqlite3
from pathlib import Path

import pytest
from examples.wearables.demo_display import Display, equation, progress
from examples.wearables.demo_figures import Look, Outcome, Reader, Times, failures
from msgspec.structs import replace

from rimward.console.model import Balance
from rimward.devices.replay import Counts, Report, RoundTrip
from rimward.observe import FunctionStats, Histogram, Snapshot

REPORT = Report(
    seconds=10,
    devices=2,
    connected=2,
    total=Counts(sent=100, acknowledged=100, buzzes=3),
    unacknowledged=0,
    reconnects=0,
    resent=0,
    round_trip_us=RoundTrip(3, 400, 900, 950),
    by_device={"daphnet-ankle": Counts(sent=60), "watch-07": Counts(sent=40)},
    failures={},
)


def snapshot(**others: object) -> Snapshot:
    times = Histogram()
    times.record(2_000)
    stats = FunctionStats(100, 0, 0, 0.005, {"decode": times.sparse(), "function": times.sparse()})
    values: dict[str, object] = {
        "at": 1, "started_at": 0, "node": "node-1", "app": "wearables", "digest": "", "gateways": {},
        "functions": {"stumble": stats}, "counters": {"events": 100, "actions": 3}, "health": {},
        "outbox": {"commits": 9.0, "commit_p50_ms": 1.5, "commit_p99_ms": 4.0},
    }  # fmt: skip
    return Snapshot(**{**values, **others})  # pyright: ignore[reportArgumentType] (each test changes one field)


LEDGER = (Balance("node-1", "impact", 3, 3, 0), Balance("node-1", "motion", 20, 20, 0))
GOOD = Outcome(
    devices=REPORT,
    snapshot=snapshot(),
    ledger=LEDGER,
    rows_by_wearer={"daphnet-ankle": 10, "watch-07": 10},
    impacts=3,
    reports=("daphnet-ankle", "watch-07"),
)


def test_a_run_in_which_everything_worked_has_no_failures() -> None:
    assert failures(GOOD) == []


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (replace(GOOD, devices=None), "no report"),
        (replace(GOOD, devices=replace(REPORT, total=Counts())), "sent nothing"),
        (
            replace(GOOD, devices=replace(REPORT, total=Counts(5, 3, {"quota exceeded": 2}))),
            "2 of 5 samples were not accepted: quota exceeded",
        ),
        (replace(GOOD, devices=replace(REPORT, round_trip_us=RoundTrip(0, 0, 0, 0))), "no action came back"),
        (replace(GOOD, devices=replace(REPORT, failures={"watch-07": "gone"})), "watch-07 gave up: gone"),
        (replace(GOOD, snapshot=None), "no figures"),
        (replace(GOOD, snapshot=snapshot(functions={})), "no function ran"),
        (
            replace(GOOD, snapshot=snapshot(functions={"stumble": FunctionStats(0, 0, 0, None, {})})),
            "stumble never ran",
        ),
        (
            replace(GOOD, snapshot=snapshot(functions={"stumble": FunctionStats(9, 2, 0, None, {})})),
            "stumble failed 2 times",
        ),
        (replace(GOOD, snapshot=snapshot(counters={})), "no action"),
        (
            replace(GOOD, rows_by_wearer={"watch-07": 9}, reports=("watch-07",)),
            "no row from the recording Daphnet",
        ),
        (replace(GOOD, rows_by_wearer={"daphnet-ankle": 9}), "no row from the recording BasicMotions"),
        (replace(GOOD, impacts=0), "no impact"),
        (replace(GOOD, reports=("watch-07",)), "no report for daphnet-ankle"),
        (replace(GOOD, reports=()), "no report for"),
        (replace(GOOD, ledger=()), "ledger is empty"),
        (replace(GOOD, ledger=(Balance("n", "motion", 9, None, None),)), "can't be read"),
        (replace(GOOD, ledger=(Balance("n", "motion", 9, 8, 0),)), "does not balance: 1 rows missing"),
        (replace(GOOD, ledger=(Balance("n", "motion", 9, 8, 1),)), "1 rows of motion still wait"),
        (replace(GOOD, ledger=(Balance("n", "motion", 9, 8, 0, dead_lettered=1),)), "could not be stored"),
        (replace(GOOD, restarts=2), "2 times"),
    ],
)
def test_whatever_did_not_work_is_a_failure_in_words(outcome: Outcome, words: str) -> None:
    found = failures(outcome)
    assert len([reason for reason in found if words in reason]) == 1, found


def test_a_data_folder_without_anything_reads_as_empty(tmp_path: Path) -> None:
    look = Reader(tmp_path).look()
    assert (look.snapshot, look.ledger, look.waiting, look.rows) == (None, (), 0, {})
    assert {name: times.count for name, times in look.stages.items()} == {"uplink": 0, "lake": 0}


def test_envelopes_are_counted_once_and_those_of_an_earlier_run_never(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    db = sqlite3.connect(tmp_path / "hub" / "hub.db", isolation_level=None)
    db.execute("create table envelope (sealed_at integer, received_at integer, committed_at integer)")
    db.execute("insert into envelope values (1, 2, 3)")
    reader = Reader(tmp_path)
    db.execute("insert into envelope values (1000000, 3000000, 10000000)")
    db.close()
    for _ in range(2):
        stages = reader.look().stages
        assert (stages["uplink"].count, stages["lake"].count) == (1, 1)
        assert stages["uplink"].p50 == pytest.approx(2e6, rel=0.04)
        assert stages["lake"].p50 == pytest.approx(7e6, rel=0.04)


LOOK = Look(snapshot(), {"decode": Times(9, 2_500, 1.25e6), "lake": Times(0, 0, 0)}, LEDGER)


def test_progress_names_devices_rates_rows_and_every_stage() -> None:
    block = progress(12, 312.4, REPORT, LOOK)
    assert "12 s  2 devices  312 events/s  100 samples  3 actions" in block[0]
    assert block[1] == "rows in the lake: impact 3, motion 20; 0 on their way"
    shown = {line.split()[0]: line.split()[1:6] for line in block[4:]}
    assert shown["decode"][:5] == ["9", "2.5", "µs", "1.25", "ms"]
    assert shown["lake"][:3] == ["0", "-", "-"]
    assert shown["action"][:5] == ["3", "400", "µs", "900", "µs"]


def test_progress_can_be_shown_before_anything_is_known() -> None:
    assert "0 devices" in progress(0, 0, None, Look(None, {}, ()))[0]


def test_an_equation_names_what_is_there_and_the_verdict() -> None:
    line = equation(Balance("n", "motion", 10, 7, 1, expired=1))
    assert " ".join(line.split()) == "motion 10 forwarded = 7 stored + 1 waiting + 1 expired 1 missing"


def test_elsewhere_than_on_a_terminal_each_state_is_one_plain_line() -> None:
    out = io.StringIO()
    display = Display(out)
    display.update(["a", "b", "", "c"])
    display.update(["d", "e"])
    assert out.getvalue() == "a  b\nd  e\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_block_is_drawn_over_and_lines_stay() -> None:
    out = Terminal()
    display = Display(out)
    display.update(["a", "b"])
    display.update(["c", "d"])
    display.line("e")
    assert out.getvalue() == "a\nb\n\x1b[2F\x1b[Jc\nd\n\x1b[2F\x1b[Je\n"
