# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""The lake in an object store, a real one: commits by put-if-absent, and answers that are lost."""

import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import DeltaError

from rimward.cloud.config import LakePlace, UpkeepConfig
from rimward.cloud.ingest.core import Ingest, Outcome
from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.query import query
from rimward.cloud.lake.sole import SecondWriter, SoleWriter
from rimward.cloud.lake.storage import NoLake, Storage, keep_place, lake_of, storage_of
from rimward.cloud.lake.tables import EPOCHS
from rimward.cloud.lake.tending import Tending
from rimward.cloud.lake.upkeep import Upkeep
from rimward.cloud.store import Records

from .cloud_support import NOW, WARM, envelope, numbers
from .s3_support import KEYS, Store, door, serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Generator[Store]:
    with serving(tmp_path_factory.mktemp("s3")) as one:
        yield one


def ingest(storage: Storage) -> Ingest:
    return Ingest(storage, (WARM,), lambda: NOW)


def places(storage: Storage) -> list[tuple[str, int, int]]:
    rows: Any = storage.open("warm").to_pyarrow_dataset().to_table(columns=["_node", "_epoch", "_seq"])
    return sorted((row["_node"], row["_epoch"], row["_seq"]) for row in rows.to_pylist())


def test_rows_marks_upkeep_and_sql_are_as_in_a_folder(store: Store) -> None:
    storage = storage_of(store.place("whole"))
    one = ingest(storage)
    for seq in range(1, 5):
        one.take("warm", [envelope(seq, seq)])
    assert one.take("warm", [envelope(1, 4)]).duplicates == 1
    tended = Tending(storage, "warm", UpkeepConfig(small_files=3), lambda: NOW).look()
    assert tended.counts["files_compacted"] == 4
    assert ingest(storage).take("warm", [envelope(3, 4), envelope(5, 5)]).stored == 1
    assert places(storage) == numbers((1, 1, 5))
    asked = query(storage, "select _node, count(*) as n from warm group by all").to_pylist()
    assert asked == [{"_node": "n1", "n": 5}]
    assert {"_dead", "_epochs", "_gap", "warm"} <= set(storage.tables())


def test_a_store_that_excludes_lets_everybody_write_and_one_makes_a_table(
    store: Store, tmp_path: Path
) -> None:
    storage = storage_of(store.place("many"))
    assert not any(SoleWriter(storage, tmp_path, who).alone for who in ("ingest", "ingest-2"))
    assert [storage.create("_epochs", EPOCHS, ["_day"]) for _ in range(2)] == [True, False]
    assert storage.open("_epochs").version() == 0


def test_one_of_many_writers_of_a_name_wins(store: Store) -> None:
    storage = storage_of(store.place("race"))
    assert storage.excludes()
    barrier, won = threading.Barrier(4), list[int]()

    def write(who: int) -> None:
        mine = storage_of(store.place("race"))
        barrier.wait()
        if mine.put_if_absent("name", str(who).encode()):
            won.append(who)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.read("name") == str(won[0]).encode()


@pytest.mark.parametrize("fault", ["500", "cut"])
def test_a_commit_whose_answer_is_lost_is_there_once(store: Store, fault: str) -> None:
    broken: list[str] = []

    def breaks(method: str, path: str) -> str | None:
        """Break the first answer to each log entry of `warm` but the first."""
        if method == "PUT" and "/warm/_delta_log/" in path and "0000.json" not in path and path not in broken:
            broken.append(path)
            return fault
        return None

    with door(store, breaks) as port:
        one = ingest(storage_of(store.place(f"lost-{fault}", port)))
        reached = [take(one, seq).marks[0][1].reached for seq in range(1, 3)]
    assert len(broken) == 2
    assert reached == [(1, 1), (1, 2)]
    assert places(storage_of(store.place(f"lost-{fault}"))) == numbers((1, 1, 2))


def take(one: Ingest, seq: int) -> Outcome:
    """Take a row as the hub does: what failed comes again."""
    for _ in range(5):
        try:
            return one.take("warm", [envelope(seq, seq)])
        except (DeltaError, OSError):
            continue
    raise AssertionError(f"row {seq} can't be taken")


def test_a_store_without_put_if_absent_has_one_writer_and_it_is_said(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert storage_of(store.place("made", bucket="open")).put_if_absent("now", b"")
    with door(store, lambda _method, _path: None, strips=("if-none-match", "authorization")) as port:
        storage = storage_of(store.place("plain", port, "open"))
        assert not storage.excludes()
        records = Records(tmp_path / "hub.db")
        upkeep = Upkeep(storage, UpkeepConfig(), {}, records, lambda: NOW)
        assert not upkeep.look()
        assert not upkeep.look()
        records.close()
        right = SoleWriter(storage, tmp_path / "one", "ingest")
        assert right.alone
        with pytest.raises(SecondWriter, match=r"that is ingest, process \d+: ingest-2 can't"):
            SoleWriter(storage, tmp_path / "one", "ingest-2")
        with pytest.raises(SecondWriter, match=r"the hub in .*one writes to it"):
            SoleWriter(storage, tmp_path / "other", "ingest")
        right.close()
        SoleWriter(storage, tmp_path / "one", "rimward deadletters replay").close()
        DurableTable(storage, "_epochs", EPOCHS)
        assert storage.tables() == ["_epochs"]
    assert [record.getMessage() for record in caplog.records].count(
        "the store has no put-if-absent: one writer alone may commit, and upkeep is off"
    ) == 1


def test_a_place_is_found_from_the_data_folder_and_its_keys_are_not_told(
    store: Store, tmp_path: Path
) -> None:
    keep_place(tmp_path, store.place("kept"))
    assert all(secret not in (tmp_path / "lake.json").read_text() for secret in KEYS.values())
    lake = lake_of(tmp_path)
    assert lake.put_if_absent("there", b"1")
    assert all(secret not in repr(lake) for secret in KEYS.values())
    keep_place(tmp_path, LakePlace())
    assert lake_of(tmp_path).folder == tmp_path / "lake"


@pytest.mark.parametrize("keys", ["", "{", json.dumps({"access_key_id": 7})])
def test_a_broken_file_of_keys_is_refused_without_its_words(tmp_path: Path, keys: str) -> None:
    (tmp_path / "keys.json").write_text(keys)
    with pytest.raises(NoLake, match=r"lake\.keys: .*it is no JSON object of strings") as refused:
        storage_of(LakePlace("s3://bucket/x", keys=str(tmp_path / "keys.json")))
    assert "7" not in str(refused.value).replace(str(tmp_path), "")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(NoLake, match=r"lake\.url: gopher://x"):
        storage_of(LakePlace("gopher://x"))
