"""`rimward device` as a person or a script uses it."""

import stat
from pathlib import Path

from rimward.edge.access.book import digest_of
from rimward.edge.access.file import read

from .commands import command, lines

PASSWORD = "correct horse battery\n"


def test_a_device_is_added_listed_changed_and_removed(tmp_path: Path) -> None:
    added = command(
        "device", "add", "truck-1", "--password-stdin", "--role", "sensor", at=tmp_path, given=PASSWORD
    )
    assert added.returncode == 0, added.stderr
    assert "truck-1 may come in" in added.stdout
    file = tmp_path / "access.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "correct horse" not in file.read_text()
    first = read(file).device[0]
    [row] = lines(command("device", "list", "--json", at=tmp_path))
    assert row == {"id": "truck-1", "user": None, "shows": ["password"], "roles": ["sensor"], "clients": []}
    assert "truck-1" in command("device", "list", at=tmp_path).stdout
    changed = command("device", "password", "truck-1", "--password-stdin", at=tmp_path, given="another one\n")
    assert changed.returncode == 0, changed.stderr
    assert read(file).device[0].password != first.password
    assert lines(command("device", "remove", "truck-1", "--json", at=tmp_path)) == [
        {"removed": "truck-1", "access": "access.toml"}
    ]
    assert "has no devices" in command("device", "list", at=tmp_path).stdout


def test_a_token_is_shown_once_and_its_digest_kept(tmp_path: Path) -> None:
    [said] = lines(command("device", "add", "gate", "--token", "--json", at=tmp_path))
    assert read(tmp_path / "access.toml").device[0].token == digest_of(said["token"])
    assert said["token"] not in (tmp_path / "access.toml").read_text()


def test_what_can_not_be_is_told_with_a_next_step(tmp_path: Path) -> None:
    for words, given, code, told in (
        (("add", "a"), "", 2, "--password-stdin, --token, --certificate FILE or --oscore"),
        (("add", "a", "--password-stdin"), "short\n", 1, "from 8 to 1024"),
        (("add", "a/b", "--token"), "", 1, "device[0].id is 'a/b'"),
        (("add", "a", "--certificate", "none.pem"), "", 1, "none.pem can't be read"),
        (("add", "a", "--token", "--scram"), "", 2, "--scram is for a password"),
        (("add", "a", "--scram", "--password-stdin"), "\u200epassword\n", 1, "that SCRAM can't carry"),
        (("remove", "a"), "", 1, "there is no device a"),
        (("list",), "", 1, "it can't be read"),
    ):
        done = command("device", *words, at=tmp_path, given=given)
        assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_keys_for_oscore_are_shown_once_as_the_device_has_them(tmp_path: Path) -> None:
    [first] = lines(command("device", "add", "meter-1", "--oscore", "--json", at=tmp_path))
    second = command("device", "add", "meter-2", "--oscore", at=tmp_path)
    one, two = read(tmp_path / "access.toml").device
    assert one.oscore is not None
    assert two.oscore is not None
    assert first["oscore"] == {
        "sender": one.oscore.recipient,
        "recipient": one.oscore.sender,
        "secret": one.oscore.secret,
        "salt": one.oscore.salt,
    }
    assert one.oscore.recipient != two.oscore.recipient
    assert f"master secret: {two.oscore.secret}" in second.stdout
    assert "recipient id: (empty)" in second.stdout
    assert [row["shows"] for row in lines(command("device", "list", "--json", at=tmp_path))] == [
        ["oscore"]
    ] * 2
