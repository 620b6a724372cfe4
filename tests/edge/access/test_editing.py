"""Devices in a file that people write in too: only what was asked for changes."""

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from rimward.edge.access import AccessError
from rimward.edge.access.editing import add, block, edit, remove, rewrite
from rimward.edge.access.file import Device, parse, read
from rimward.edge.access.scram import scram_keys

from .access_support import cheap

MINE = """\
# ours

[[device]]  # the first
id = "a"
password = "{hash}"  # of a
[device.scram]
iterations = 4096
salt = "AA=="
stored_key = "AA=="
server_key = "AA=="

# about b
[[device]]
id = "b"
password = "{hash}"
roles = [
  "x",
]

# rules
[[rule]]
publish = ["up/{{client}}"]
"""


def full(name: str) -> Device:
    return Device(
        name, "u\N{LATIN SMALL LETTER U WITH DIAERESIS}", cheap("x"), 'subject:a"b', "sha256:" + "0" * 64,
        scram_keys(b"x", b"0" * 16, 4096), ("r", "s"), ("a-*",),
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "access.toml"
    file.write_text(MINE.format(hash=cheap("secret")))
    return file


def test_a_device_is_read_as_it_was_written() -> None:
    assert parse(block(full("x")), "f").device == (full("x"),)


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    edit(path, add(full("x")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path).device == (full("x"),)
    assert [one.name for one in tmp_path.iterdir()] == ["access.toml"]


def test_an_added_device_comes_last_and_all_else_stays(path: Path) -> None:
    before = path.read_text()
    edit(path, add(full("c")))
    assert path.read_text() == before + "\n" + block(full("c"))
    with pytest.raises(AccessError, match="there is a device c already"):
        edit(path, add(full("c")))


def test_a_removed_device_takes_its_table_and_nothing_more(path: Path) -> None:
    edit(path, remove("a"))
    text = path.read_text()
    assert text.startswith("# ours\n\n# about b\n[[device]]\n")
    assert "# rules\n[[rule]]\n" in text
    assert [one.id for one in read(path).device] == ["b"]
    edit(path, remove("b"))
    assert read(path).device == ()
    assert len(read(path).rule) == 1


def test_a_changed_device_stays_where_it_is(path: Path) -> None:
    edit(path, rewrite("a", lambda one: replace(one, password=cheap("new"), scram=None)))
    found = read(path)
    assert [one.id for one in found.device] == ["a", "b"]
    assert found.device[0].password == cheap("new")
    assert "# about b" in path.read_text()


def test_a_device_that_rules_name_can_not_be_removed(path: Path) -> None:
    path.write_text(path.read_text() + 'devices = ["b"]\n')
    with pytest.raises(AccessError, match=r"rule\[0\].devices\[0\]"):
        edit(path, remove("b"))
    assert len(read(path).device) == 2


@pytest.mark.parametrize("change", [remove("x"), rewrite("x", lambda one: one)])
def test_a_device_that_is_not_there_is_told(path: Path, change: object) -> None:
    with pytest.raises(AccessError, match="there is no device x"):
        edit(path, change)  # pyright: ignore[reportArgumentType] -- a Change: parametrize says object


def test_what_would_break_a_rule_is_not_written(path: Path) -> None:
    before = path.read_text()
    with pytest.raises(AccessError, match=r"device\[2\].id"):
        edit(path, add(replace(full("c"), id="a/b")))
    assert path.read_text() == before


def test_a_file_that_is_written_in_another_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    text = f'device = [{{ id = "a", password = "{cheap("x")}" }}]\n'
    path.write_text(text)
    with pytest.raises(AccessError, match="edit it by hand"):
        edit(path, remove("a"))
    assert path.read_text() == text


def test_a_text_that_looks_like_a_table_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_text(
        f'[[device]]\nid = "a"\npassword = "{cheap("x")}"\nroles = ["""\n[[device]]\n"""]\n'
        f'[[device]]\nid = "b"\npassword = "{cheap("x")}"\n'
    )
    before = path.read_text()
    with pytest.raises(AccessError):
        edit(path, remove("b"))
    assert path.read_text() == before


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="its folder can't be opened"):
        edit(tmp_path / "none" / "access.toml", add(full("x")))
