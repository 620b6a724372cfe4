import io

import pytest

from rimward.cli.output import bold, table

ROWS = [["a_function_with_a_long_name", 'mqtt("buildings/{building}/air")', 12], ["short", "every", 3]]


class Terminal(io.StringIO):
    """Standard output where a person reads it."""

    def isatty(self) -> bool:
        return True


def written(monkeypatch: pytest.MonkeyPatch, out: io.StringIO, columns: int) -> list[str]:
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("COLUMNS", str(columns))
    table(["function", "runs for", "calls"], ROWS)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("columns", [120, 60, 40, 24])
def test_a_table_is_cut_to_the_terminal_that_shows_it(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = written(monkeypatch, Terminal(), columns)
    assert max(map(len, lines)) <= columns
    assert len({line.rstrip()[-1] for line in lines[2:]}) == 2  # the numbers are whole
    assert any("…" in line for line in lines) == (columns < 72)


def test_a_file_or_pipe_gets_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = written(monkeypatch, io.StringIO(), 24)
    assert 'mqtt("buildings/{building}/air")' in lines[2]


@pytest.mark.parametrize(
    ("out", "environment", "shown"),
    [
        (Terminal, {"TERM": "xterm"}, "\x1b[1mhead\x1b[0m"),
        (Terminal, {"TERM": "xterm", "NO_COLOR": "1"}, "head"),
        (Terminal, {"TERM": "dumb"}, "head"),
        (io.StringIO, {"TERM": "xterm"}, "head"),
    ],
)
def test_headings_are_bold_where_a_terminal_shows_that_and_nobody_minds(
    monkeypatch: pytest.MonkeyPatch, out: type[io.StringIO], environment: dict[str, str], shown: str
) -> None:
    monkeypatch.setattr("sys.stdout", out())
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert bold("head") == shown
