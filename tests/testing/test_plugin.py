"""The pytest plugin, as a project sees it that has Rimward and pytest and no settings."""

import subprocess
import sys
from pathlib import Path

APP = """\
from msgspec import Struct
from rimward import App, mqtt
app = App("lamps", compat="2026-11-01")
class Press(Struct):
    lamp: str
@app.edge(mqtt("buttons/{button}"))
def press(button: str, press: Press) -> None:
    if press.lamp == "broken":
        raise LookupError("no such lamp")
    app.publish(f"lamps/{press.lamp}", "on")
"""
HEAD = "from app import app\nfrom rimward.testing import Site\nimport pytest\n"


def run_pytest(folder: Path, tests: str, *options: str, settings: str = "") -> str:
    """Run a project's tests without this repository's settings; return what pytest says."""
    (folder / "app.py").write_text(APP)
    (folder / "test_app.py").write_text(HEAD + tests)
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    bare = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]  # the latter takes two seconds
    command = [sys.executable, "-m", "pytest", *bare, *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout


WITH = """
async def test_it():
    async with Site(app) as site:
        lamp = site.inbox("lamps/1")
        await site.device("b").publish("buttons/b", {"lamp": "1"}, qos=1)
        assert lamp.all == ["on"]
async def test_it_fails():
    async with Site(app) as site:
        ack = await site.device("b").publish("buttons/b", {"lamp": "broken"}, qos=1)
        assert ack.code == 0
"""


def test_async_tests_run_without_any_setting(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, WITH, "-p", "no:anyio")
    assert "1 failed, 1 passed" in said
    assert "In the Site of 'lamps':" in said
    assert "LookupError: no such lamp at app.py:9: see site.errors" in said
    assert "dead letter of buttons/b from b: failed: LookupError: no such lamp" in said
    assert "trace of buttons/b from b: press, 0 actions, 0 rows, LookupError at app.py:9" in said


def test_a_site_is_a_fixture_where_the_setting_names_the_app(tmp_path: Path) -> None:
    tests = """
async def test_it(site):
    lamp = site.inbox("lamps/1")
    await site.device("b").publish("buttons/b", {"lamp": "1"}, qos=1)
    assert lamp.all == ["on"]
async def test_it_fails(site):
    await site.device("b").publish("buttons/b", {"lamp": "broken"}, qos=1)
    assert False
def test_without_a_loop(site):
    assert site.http is not None
"""
    said = run_pytest(tmp_path, tests, "-p", "no:anyio", settings="rimward_app = app:app\npythonpath = .")
    assert "1 failed, 2 passed" in said
    assert "LookupError: no such lamp" in said
    said = run_pytest(tmp_path, tests, settings="rimward_app = app:app\npythonpath = .\nanyio_mode = auto")
    assert "1 failed, 2 passed" in said
    assert "LookupError: no such lamp" in said


def test_a_projects_own_fixture_may_give_the_app(tmp_path: Path) -> None:
    tests = """
@pytest.fixture
def rimward_app():
    return app
async def test_it(site):
    assert site.app is app
"""
    assert "1 passed" in run_pytest(tmp_path, tests)


def test_a_mark_names_the_app_and_what_its_site_gets(tmp_path: Path) -> None:
    tests = """
@pytest.mark.site(app, seed=7, outbox_bytes=1 << 20)
async def test_of_an_app(site):
    assert site.app is app
    assert site._outbox.max_bytes == 1 << 20
@pytest.mark.site("app:app")
async def test_of_a_name(site):
    assert site.app.name == "lamps"
"""
    said = run_pytest(tmp_path, tests, "--strict-markers", settings="pythonpath = .")
    assert "2 passed" in said


def test_the_fixture_says_what_it_needs(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, "def test_it(site): pass\n")
    assert """write rimward_app = "app:app" in [tool.pytest.ini_options]""" in said
    assert "1 error" in said


def test_tests_of_other_plugins_are_left_to_them(tmp_path: Path) -> None:
    tests = """
import asyncio
@pytest.mark.anyio
async def test_anyio(anyio_backend_name):
    assert anyio_backend_name in ("asyncio", "trio")
@pytest.mark.trio
async def test_trio():
    raise AssertionError("not on asyncio")
"""
    said = run_pytest(
        tmp_path, tests, "-k", "anyio and not trio", settings="markers =\n    trio: for another plugin"
    )
    assert "1 passed" in said
    said = run_pytest(tmp_path, tests, "-k", "test_trio", settings="markers =\n    trio: for another plugin")
    assert "async def functions are not natively supported" in said


def test_a_run_that_uses_nothing_of_rimward_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it(): assert not {'rimward', 'msgspec'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "."]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "1 passed" in run.stdout, run.stdout
