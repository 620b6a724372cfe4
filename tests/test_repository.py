"""What holds for the repository as a whole: locks, sizes, exports, import rules, decisions."""

import ast
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import rimward

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))
MAX_LINES = 400
NODE_BYTES = 70_000_000  # what an edge node may take on disk, without the cloud extra


def tracked() -> list[Path]:
    """Return the files of the repository, new ones included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def closure(package: str, seen: set[str]) -> set[str]:
    """Return a distribution and all that it needs here, extras left out."""
    name = re.split(r"[^\w.-]", package, maxsplit=1)[0].lower()
    if name in seen:
        return seen
    try:
        needs = distribution(name).requires or []
    except PackageNotFoundError:
        return seen  # not needed on this platform, or by this Python
    seen.add(name)
    for need in needs:
        if "extra ==" not in need:
            closure(need, seen)
    return seen


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_and_hashes_every_package_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(--(extra-)?index-url|--find-links|--trusted-host|-i)\b", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    pins = [entry for entry in entries if not entry.startswith("#")]
    assert pins
    for pin in pins:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", pin), pin
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    here = [str(ROOT), str(Path.home()) + "/", str(Path(sys.base_prefix))]
    general = ("/", "/usr", "/usr/local", "/root/")  # true on many machines
    wanted = [place.encode() for place in here if place not in general]
    found = [
        f"{path.relative_to(ROOT)}: {place.decode()}"
        for path in tracked()
        for place in wanted
        if re.search(re.escape(place) + rb"(?![\w.-])", path.read_bytes())
    ]
    assert not found


def test_exports_are_sorted_exist_and_are_all_that_an_app_file_sees() -> None:
    assert sorted(rimward.__all__, key=str.lower) == sorted(set(rimward.__all__), key=str.lower)
    source = ast.parse((ROOT / "src/rimward/__init__.py").read_text())
    imported = {
        a.asname or a.name for node in source.body if isinstance(node, ast.ImportFrom) for a in node.names
    }
    assert imported == set(rimward.__all__)
    assert all(getattr(rimward, name) is not None for name in rimward.__all__)


@pytest.mark.parametrize(
    "package", sorted({path.parent for path in SOURCES if path.name == "__init__.py"}), ids=str
)
def test_what_a_package_exports_exists(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text())
    bound = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    bound |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and "__all__" in ast.dump(node.targets[0])
    ]
    exported = {name for value in lists for name in ast.literal_eval(value)}
    assert exported <= bound


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MAX_LINES}


def test_every_package_says_what_it_is() -> None:
    silent = [
        path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text())) and path.stat().st_size
    ]
    assert not silent


def test_the_supervisor_imports_the_standard_library_and_nothing_else() -> None:
    allowed = sys.stdlib_module_names | {"rimward_supervisor"}
    foreign = [
        f"{path.name}: {name}"
        for path in sorted((ROOT / "src/rimward_supervisor").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
        if name.partition(".")[0] not in allowed
    ]
    assert not foreign


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_a_node_installs_within_its_size() -> None:
    sizes: dict[str, int] = {}
    for name in closure("rimward", set()) - {"rimward"}:
        files = distribution(name).files or []
        sizes[name] = sum(
            path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file()
        )
    ours = sum(path.stat().st_size for path in (ROOT / "src").rglob("*") if path.is_file())
    assert {"httptools", "msgspec", "nats-py", "uvloop", "zstandard"} <= set(sizes)
    assert min(sizes.values()) > 0
    assert sum(sizes.values()) + ours <= NODE_BYTES, sizes


def test_an_app_file_imports_rimward_without_loops_sockets_or_the_cloud() -> None:
    heavy = {
        "asyncio",
        "uvloop",
        "socket",
        "ssl",
        "nats",
        "sqlite3",
        "deltalake",
        "pyarrow",
        "duckdb",
        "starlette",
    }
    code = "import sys; before = set(sys.modules); import rimward; print(*sorted(set(sys.modules) - before))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    loaded = set(shown.split())
    assert "rimward.app" in loaded
    assert not loaded & heavy


def test_every_decision_is_listed_and_numbered_once() -> None:
    folder = ROOT / "docs" / "adr"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    index = (folder / "index.md").read_text()
    assert records
    numbers = [name[:4] for name in records]
    assert numbers == sorted(set(numbers))  # gaps are left to work that goes on beside it
    listed = [Path(name).name for name in re.findall(r"^(\d{4}-[\w-]+(?:\.md)?)$", index, re.MULTILINE)]
    assert sorted(Path(name).stem for name in listed) == [Path(name).stem for name in records]


@pytest.mark.parametrize(
    "record", sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")), ids=lambda path: path.stem
)
def test_a_decision_says_why_and_what_follows(record: Path) -> None:
    text = record.read_text()
    assert [part for part in ("\n## Context", "\n## Decision", "\n## Consequences") if part not in text] == []
