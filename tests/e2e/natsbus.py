"""A real nats-server on a free port, to be killed, wiped and started again."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from rimward.cloud.bus import write_config
from rimward.local.plan import installed

PATIENCE = 20.0  # seconds


class Bus:
    """One bus with its hub's user and those of nodes."""

    def __init__(self, folder: Path, *nodes: str, region: str = "local", events: bool = False) -> None:
        self._folder = folder
        self._conf, self._store, self._ports = folder / "bus.conf", folder / "bus", folder / "ports"
        folder.mkdir(parents=True, exist_ok=True)
        self._ports.mkdir()
        self.users = write_config(self._conf, self._store, -1, [*nodes], region, events=events)
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        binary = installed().bus
        assert binary is not None
        for old in self._ports.iterdir():
            old.unlink()
        with (self._folder / "bus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "-c", str(self._conf), "--ports_file_dir", str(self._ports)], stdout=log, stderr=log
            )
        end = time.monotonic() + PATIENCE
        while not (url := self._url()):
            assert time.monotonic() < end, (self._folder / "bus.log").read_text()
            time.sleep(0.02)
        self.url = url
        config: dict[str, Any] = json.loads(self._conf.read_text())
        config["port"] = int(url.rpartition(":")[2])
        self._conf.write_text(json.dumps(config))

    def _url(self) -> str | None:
        for file in self._ports.iterdir():
            try:
                return str(json.loads(file.read_text())["nats"][0]).replace("0.0.0.0", "127.0.0.1")
            except (ValueError, KeyError):  # half written
                return None
        return None

    def kill(self) -> None:
        """Kill -9 it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Delete all that it had; it must not run."""
        assert self._process is None
        shutil.rmtree(self._store, ignore_errors=True)
