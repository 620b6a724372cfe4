"""`rimward new`: what it makes is fine in every way, and it never writes over anything."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .commands import command

FILES = {"app.py", "test_app.py", "pyproject.toml", "README.md", ".gitignore"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    done = command("new", "cold-chain", at=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("next: cd cold-chain && rimward dev app.py --simulate 3\n")
    return folder / "cold-chain"


def test_a_new_project_has_its_files_and_the_groups_edge_and_cloud(project: Path) -> None:
    assert {path.name for path in project.iterdir() if not path.name.endswith("cache__")} >= FILES
    told = tomllib.loads((project / "pyproject.toml").read_text())
    assert told["project"]["name"] == "cold-chain"
    assert {"edge", "cloud"} <= set(told["dependency-groups"])
    assert len((project / "README.md").read_text().splitlines()) == 10


def test_a_new_project_is_fine(project: Path) -> None:
    done = command("check", "app.py", at=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cold-chain has 2 at the edge, 1 as streams, 1 in the cloud, 2 facts" in done.stdout


def test_the_tests_of_a_new_project_pass(project: Path) -> None:
    done = command("test", "-q", "-p", "no:cacheprovider", at=project)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_rimward_test_tells_failures_from_mistakes_of_asking(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): assert False\n")
    assert command("test", "-q", at=tmp_path).returncode == 1
    assert command("test", "--no-such-flag", at=tmp_path).returncode == 2
    assert command("test", "-q", "-k", "nothing", at=tmp_path).returncode == 1


def test_without_pytest_rimward_test_says_what_to_install(tmp_path: Path) -> None:
    hidden = (
        "import sys; sys.modules['pytest'] = None; from rimward.cli import main; sys.exit(main(['test']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "rimward test: the tests need pytest, which is not installed here: pip install pytest\n"
    )


@pytest.mark.parametrize(
    "lint",
    [
        ["ruff", "check", "--no-cache", "--select", "E,F,I,UP,B,SIM,RUF,ANN", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["basedpyright", "--pythonpath", sys.executable, "--level", "error", "."],
    ],
    ids=["rules", "format", "types"],
)
def test_a_new_project_is_clean_under_the_linters(project: Path, lint: list[str]) -> None:
    tool = str(Path(sys.executable).with_name(lint[0]))
    done = subprocess.run([tool, *lint[1:]], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "cold").mkdir()
    (tmp_path / "cold/app.py").write_text("mine")
    done = command("new", "cold", at=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "rimward new: cold exists already: choose another name, or take what is there away\n"
    )
    assert [path.name for path in (tmp_path / "cold").iterdir()] == ["app.py"]
    assert (tmp_path / "cold/app.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "such"),
    [
        ("Cold_Chain", "such as cold-chain"),
        ("../cold", "such as cold"),
        ("7", "such as cold-chain"),
        ("-cold", "the following arguments are required"),
        ("cold-", "such as cold"),
        ("class", "such as my-class"),
        ("rimward", "such as my-rimward"),
        ("a" * 61, "such as a"),
    ],
)
def test_a_name_that_makes_trouble_is_refused_with_one_that_does_not(
    tmp_path: Path, name: str, such: str
) -> None:
    done = command("new", name, at=tmp_path)
    assert done.returncode == 2
    assert such in done.stderr
    assert not list(tmp_path.iterdir())
