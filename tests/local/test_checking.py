from pathlib import Path

import pytest

from rimward.local.checking import check
from rimward.local.errors import DevError

GOOD = """\
from rimward import App, mqtt
app = App("good", compat="2026-11-01")
print("hello from the app")
@app.edge(mqtt("a/{b}"))
def f(b: str, payload: bytes) -> None: ...
"""


async def test_a_good_app_gives_its_manifest_whatever_it_prints(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(GOOD)
    manifest = await check(str(app), 30)
    assert manifest.app == "good"
    assert [function.name for function in manifest.functions] == ["f"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("app = (", "app.py:1: syntax error: '(' was never closed: correct that and try again"),
        ("\n1 / 0", "app.py:2: it raises ZeroDivisionError: division by zero: correct that and try again"),
        (
            'from rimward import App\napp = App("x", compat="2026-11-01")',
            "app.py has no functions: decorate one with @app.edge(…), @app.stream(…) or @app.cloud(…)",
        ),
        (
            "import os, sys; print('no', file=sys.stderr, flush=True); os._exit(7)",
            "app.py: importing it ended the process with exit code 7 (no): no app file may do that",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            "app.py: importing it ended the process with signal 9 (it said nothing): no app file may do that",
        ),
    ],
)
async def test_a_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(text)
    with pytest.raises(DevError) as error:
        await check("app.py", 30)
    assert str(error.value) == sentence


async def test_an_app_that_hangs_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("while True: pass")
    with pytest.raises(DevError) as error:
        await check("app.py", 0.2)
    assert str(error.value) == (
        "app.py: importing it takes more than 0.2 s: move what waits or computes into a function"
    )
