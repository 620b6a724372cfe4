# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (pyarrow ships partial types)
"""`rimward export`: what is asked for wrongly is said, and what is there is written."""

from pathlib import Path

import pytest

from .commands import command, lines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / ".rimward" / "run").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("too_warm", "--to", "x.xlsx"), "x.xlsx is neither .parquet nor .csv"),
        (("too_warm", "--to", "x.csv"), "no table too_warm: the lake has no table yet"),
        (("too_warm", "--to", "x.csv", "--since", "soon"), "--since: "),
    ],
)
def test_what_can_not_be_exported_is_said(data: Path, words: tuple[str, ...], said: str) -> None:
    done = command("export", *words, at=data)
    assert done.returncode == 1
    assert said in done.stderr
    assert not list(data.glob("x.*"))


def test_a_table_is_written_and_its_rows_are_told(data: Path) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(str(data / ".rimward" / "lake" / "too_warm"), pa.table({"truck": ["7", "8"]}))
    done = command("export", "TooWarm", "--to", "x.csv", "--json", at=data)
    assert lines(done) == [{"file": "x.csv", "rows": 2}]
    assert (data / "x.csv").read_text() == "truck\n7\n8\n"
