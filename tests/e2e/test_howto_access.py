"""The how-to page of the access file, done line by line as it stands there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from .running import PATIENCE, Dev, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PAGE = (Path(__file__).parents[2] / "docs/howto/access.md").read_text()
SECRETS = {"truck-1": "correct horse", "desk": "a lamp on the desk"}


def block(language: str, *, having: str) -> list[str]:
    """Return the lines of the one block that has some text."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    found = [text for text in blocks if having in text]
    assert len(found) == 1, f"{len(found)} blocks have {having}"
    return found[0].splitlines()


class Reader:
    """Somebody who does what the page says, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, str] = {}  # that the page has, and those that the node has here
        self.token = ""
        self.dev: Dev

    def words(self, line: str) -> list[str]:
        for written, real in self.ports.items():
            line = line.replace(written, real)
        words = [word.replace("$TOKEN", self.token) for word in shlex.split(line)]
        return [sys.executable, "-m", *words] if words[0] == "rimward" else words

    def run(self, line: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run one line; a password that it asks for comes in by `given`."""
        words = self.words(line)
        if given:
            words.append("--password-stdin")
        return subprocess.run(
            words, cwd=self.folder, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def start(self, line: str) -> subprocess.Popen[str]:
        """Start one line that goes on."""
        return subprocess.Popen(self.words(line), cwd=self.folder, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Generator[Reader]:
    """Somebody who has come as far as the running node."""
    for program in ("openssl", "curl", "mosquitto_pub"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: the Debian packages openssl, curl and mosquitto-clients")
    reader = Reader(tmp_path_factory.mktemp("howto"))
    (reader.folder / "app.py").write_text("\n".join(block("python", having="App(")) + "\n")
    for line in block("sh", having="device add"):
        secret = SECRETS.get(shlex.split(line)[3], "")
        done = reader.run(line, secret + "\n" if secret else "")
        assert done.returncode == 0, done.stderr
        if "--token" in line:
            reader.token = done.stdout.split()[-1]
            assert reader.token.startswith(block("sh", having="export")[0].split("=")[1].rstrip("."))
    with (reader.folder / "access.toml").open("a") as file:
        file.write("\n" + "\n".join(block("toml", having="dashboard")) + "\n")
    for having in ("boundary", "openssl"):
        [line] = block("sh", having=having)
        done = reader.run(line)
        assert done.returncode == 0, done.stderr
    [start] = block("sh", having="rimward dev app.py")
    words = shlex.split(start)
    flags = [
        str(reader.folder / word) if word.endswith((".toml", ".pem", ".key")) else word for word in words[3:]
    ]
    with Dev(reader.folder / "app.py", reader.folder / "data", *flags, "--mqtts", "0", "--https", "0") as dev:
        reader.dev = dev
        reader.ports = {
            written: dev.ready["more"][name].rpartition(":")[2]
            for name, written in (("mqtts", "8883"), ("https", "8443"))
        }
        yield reader


def test_who_may_gets_through(reader: Reader) -> None:
    _, desk, publish, ask = block("sh", having="export TOKEN")
    subscribed = reader.start(desk)
    try:
        until(lambda: _subscriptions(reader.dev) == 1, "the desk has subscribed")
        assert reader.run(publish).returncode == 0
        assert subscribed.communicate(timeout=PATIENCE)[0] == '{"text":"too warm"}\n'
    finally:
        with suppress(ProcessLookupError):
            subscribed.kill()
        subscribed.wait()
    answer = reader.run(ask)
    assert json.loads(answer.stdout) == {"text": "truck-2 is late"}, answer.stderr


def test_who_may_not_is_refused_as_the_page_says(reader: Reader) -> None:
    topic, path, nobody, wrong = block("sh", having="wrong horse")
    done = reader.run(topic)
    assert "Not authorized" in done.stderr, done
    assert json.loads(reader.run(path).stdout)["status"] == 403
    assert json.loads(reader.run(nobody).stdout)["status"] == 401
    assert reader.run(wrong).returncode != 0


def test_what_is_changed_holds_within_seconds(reader: Reader) -> None:
    password, remove = block("sh", having="device password")
    _, _, publish, ask = block("sh", having="export TOKEN")
    assert reader.run(password, "another horse\n").returncode == 0
    assert reader.run(remove).returncode == 0
    until(lambda: reader.run(publish).returncode != 0, "the old password is good no more")
    assert reader.run(publish.replace("correct horse", "another horse")).returncode == 0
    until(lambda: json.loads(reader.run(ask).stdout).get("status") == 401, "truck-2 is gone")


def _subscriptions(dev: Dev) -> int:
    return json.loads(dev.run("status", "--json").stdout)["gateways"]["mqtt"]["subscriptions"]
