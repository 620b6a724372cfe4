"""The benchmarks of the deep path: what they count, and how figures are made of it."""

import random
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.deep import lake
from benchmarks.deep.__main__ import main
from benchmarks.deep.ingest import COMMIT, ROWS, SPEC, envelopes, measure
from benchmarks.deep.rows import cloud_event, data_of, fill, groups, json_size
from benchmarks.deep.sites import Watched, percentile
from benchmarks.outage.__main__ import FIRST, KILLED, MARK, Outcome, figures_of, outage
from benchmarks.outage.edges import OURS, Edge
from benchmarks.rig.native import Load, drive
from benchmarks.rig.servers import responder
from tests.faults.fleet import until

from rimward.cloud.ingest.core import Ingest
from rimward.edge.deep.reader import OutboxReader


def test_a_filled_outbox_has_its_rows_and_tells_their_size_as_json(tmp_path: Path) -> None:
    events, plain = fill(tmp_path, 600, random.Random(1))
    reader = OutboxReader(tmp_path / "node" / "outbox.db", "node-1")
    assert reader.tallies()[0].forwarded == 600
    reader.close()
    row = next(groups(1, random.Random(1)))[0]
    assert events == pytest.approx(600 * json_size(cloud_event(row)), rel=0.02)
    assert plain == pytest.approx(600 * json_size(data_of(row)), rel=0.05)


def test_a_watched_table_tells_each_row_once_and_in_the_order_of_commits(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path, (SPEC,), lambda: 1_790_000_000_000_000_000)
    with Watched(tmp_path / SPEC.table) as watched:
        last = measure(ingest, 1, 2, at_once=1).rows
        until(lambda: watched.count() >= last, "the rows are noticed")
    ingest.lake.tables[SPEC.table].handle.optimize.compact()
    seqs = [seq for _, columns in watched.rows("_seq") for seq in columns["_seq"]]
    assert seqs == list(range(1, 2 * ROWS + 1))
    assert len(list(envelopes(1, 2))) == 2 <= COMMIT


def test_growth_is_told_by_the_largest_table_and_a_day_needs_its_own_files_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lake, "COMMITS", 2)
    grown, day, others = lake.figures(1, (300, 600), days=3)
    assert grown.value is not None
    assert grown.value > 0
    assert day.value is not None
    assert (others.value, others.met) == (0, True)


def test_percentiles_are_of_the_sorted_values() -> None:
    assert (percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 1.0)) == (3, 4)


def test_the_load_client_takes_acknowledgements_for_answers_where_no_command_comes() -> None:
    with responder(threshold=1e9) as server:
        result = drive(server.port, Load(4, 1, 1, 500, 10, 100, acknowledged=True))
    assert result.events > 0
    assert result.lost == 0


def test_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nonsense"])
    assert "no part nonsense" in capsys.readouterr().err


class _Forgetful(Edge):
    """An edge that keeps nothing while its cloud is away, and gives one thing twice."""

    def __init__(self, got: Counter[int]) -> None:
        super().__init__()
        self._got = got

    def start(self) -> None:
        self.port = self.stack.enter_context(responder()).port  # acknowledges everything

    def cloud_away(self) -> None: ...

    def cloud_back(self) -> None: ...

    def kill(self) -> None:
        self._got.clear()
        self._got[MARK] = 1

    def arrived(self, seconds: float) -> Counter[int]:
        return self._got


def test_what_is_not_in_the_cloud_is_lost_and_what_is_there_twice_is_doubled() -> None:
    got = Counter({0: 1, FIRST: 2, FIRST + 1: 1, MARK: 1})
    with _Forgetful(got) as edge:
        assert outage(edge, 5, kill=False) == Outcome(5, 3, 1)
        got[0] = 1
        assert outage(edge, 5, kill=True) == Outcome(5, 5, 0)


def test_a_loss_of_ours_misses_the_bar_and_those_of_others_stand_beside_it() -> None:
    fine, bad = Outcome(5, 0, 0), Outcome(5, 5, 1)
    figures = figures_of({False: {OURS: fine, "bridge": bad}, True: {OURS: bad}})
    assert [figure.met for figure in figures] == [True, True, False, False]
    assert figures[0].peers == {"bridge": 5.0}
    assert KILLED[True] in figures[2].name
