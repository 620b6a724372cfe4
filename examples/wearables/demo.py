"""`./dev demo`: real recordings, from the device to the lake, with an action back to the device.

It starts `rimward dev` with the app beside this file, plays the recordings against it and shows what happens;
at the end it lets everything arrive, stops, and reports. Exit code 0 only if every stage did its work and the
ledger balances. It ends only what it started. ctrl-C ends it early, with the same report, twice at once.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from examples.wearables.demo_display import Display, equation, progress, stage_table
from examples.wearables.demo_figures import Look, Outcome, Reader, failures
from examples.wearables.demo_processes import Child, DemoError, started
from msgspec import Struct

from rimward.console.model import Balance
from rimward.devices.recordings import RecordingError, data_folder
from rimward.devices.replay import Report

APP = Path(__file__).with_name("app.py")
READY = 90.0  # seconds that the start may take on a machine with cold caches
DRAIN = 30.0  # seconds that the last rows and reports may take to arrive
QUIET = (
    3.5  # seconds without a new row after which the last windows have closed: a second and 2 s of lateness
)
COMMAND = 60.0  # seconds that one command of the command line may take
SAMPLE = (
    "select wearer, count(*) as seconds, sum(cadence) as steps, round(avg(energy), 3) as energy,"
    " mode(posture) as posture from motion group by wearer order by wearer limit 8"
)
MOTIONS = "select wearer as name, count(*) as n from motion"
IMPACTS = "select 'impact' as name, count(*) as n from impact"


class Options(Struct, frozen=True):
    """What the demo was asked for."""

    data: Path
    seconds: float | None  # of play; None until ctrl-C
    speed: str
    seed: int


class Demo:
    """One run."""

    def __init__(self, options: Options, display: Display) -> None:
        self._options = options
        self._display = display
        self._data = options.data.absolute()
        self._reports = self._data / "reports"  # where the app's cloud function runs, and writes
        self._stop = asyncio.Event()
        self._began = time.time()
        self._began_at = time.monotonic()
        self._device_report: Report | None = None
        self._look: Look | None = None
        self._first_row: float | None = None  # seconds after the start
        self._rows_before = 0

    async def run(self) -> int:
        """Run to the end and return the exit code.

        Raises:
            DemoError: it could not start, or ended before its time.
        """
        self._catch_signals()
        self._reports.mkdir(parents=True, exist_ok=True)
        reader = Reader(self._data)
        self._rows_before = sum((await asyncio.to_thread(reader.look)).rows.values())
        async with self._dev() as (dev, port):
            async with self._devices(port) as devices:
                await self._watch(reader, dev, devices)
            await self._drain(reader, dev)
            restarts = dev.lines_seen - 1  # each line after the ready line tells of a process started again
        return await self._close(restarts)

    # -- what runs

    @asynccontextmanager
    async def _dev(self) -> AsyncGenerator[tuple[Child, int]]:
        self._display.line("starting Rimward: supervisor, node, deep process, bus, hub …")
        arguments = ("--json", "--mqtt", "0", "--http", "0", "--console", "0", "--data", str(self._data))
        log = self._data / "demo-dev.log"
        async with started("rimward", ("dev", str(APP), *arguments), cwd=self._reports, log=log) as dev:
            line = await self._unless_stopped(dev.next_line(READY))
            ready = msgspec.json.decode(line)["ready"]
            link = self._link()
            self._display.line(f"ready after {time.monotonic() - self._began_at:.1f} s")
            if link is not None:
                self._display.line(f"live status page: {link}")
            self._display.line()
            yield dev, ready["mqtt"]

    def _link(self) -> str | None:
        """Return the address of the status page, with its one-time key."""
        text = (self._data / "run" / "ready.json").read_bytes()
        return msgspec.json.decode(text, type=dict[str, Any]).get("link")

    @asynccontextmanager
    async def _devices(self, port: int) -> AsyncGenerator[Child]:
        options = self._options
        arguments = [
            "--port",
            str(port),
            "--speed",
            options.speed,
            "--seed",
            str(options.seed),
            "--progress",
            "0.5",
        ]
        if options.seconds is not None:
            arguments += ["--for", str(options.seconds)]
        log = self._data / "demo-devices.log"
        async with started("rimward.devices.replay", arguments, cwd=self._reports, log=log) as devices:
            devices.on_line = self._take_report
            yield devices

    def _take_report(self, line: bytes) -> None:
        self._device_report = msgspec.json.decode(line, type=Report)

    # -- what is seen

    async def _watch(self, reader: Reader, dev: Child, devices: Child) -> None:
        """Show progress until the devices have ended or are told to."""
        began, shown, rate = time.monotonic(), 0.0, _Rate()
        while not self._stop.is_set() and devices.is_running:
            await self._pause()
            dev.check()
            look = await self._see(reader)
            seconds, events = time.monotonic() - began, rate.of(look)
            if self._display.is_live or seconds - shown >= 5:
                shown = seconds
                self._display.update(progress(seconds, events, self._device_report, look))
        await devices.stop()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._stop.wait()

    async def _see(self, reader: Reader) -> Look:
        look = self._look = await asyncio.to_thread(reader.look)
        if self._first_row is None and sum(look.rows.values()) > self._rows_before:
            self._first_row = time.monotonic() - self._began_at
        return look

    async def _drain(self, reader: Reader, dev: Child) -> None:
        """Wait until nothing is on its way any more and every wearer has a report, or `DRAIN` is over."""
        self._stop.clear()  # from here on a signal means: at once
        self._display.line("the devices are quiet: waiting for the last rows and reports …")
        end, since, before = time.monotonic() + DRAIN, time.monotonic(), -1
        while time.monotonic() < end and not self._stop.is_set():
            dev.check()
            look = await self._see(reader)
            forwarded = sum(entry.forwarded for entry in look.ledger)
            if forwarded != before or look.waiting or any(entry.missing for entry in look.ledger):
                since, before = time.monotonic(), forwarded
            elif time.monotonic() - since >= QUIET and self._has_reports():
                return
            await asyncio.sleep(0.3)

    def _has_reports(self) -> bool:
        wearers = self._device_report.by_device if self._device_report else {}
        return set(wearers) <= set(self._written())

    def _written(self) -> list[str]:
        """Return the wearers whose report was written in this run."""
        found = self._reports.glob("report-*.txt")
        return sorted(
            path.stem.removeprefix("report-") for path in found if path.stat().st_mtime >= self._began
        )

    # -- the end

    async def _close(self, restarts: int) -> int:
        """Report on everything, from what is on the disk after the stop."""
        outcome = await self._outcome(restarts)
        found = failures(outcome)
        show = self._display.line
        show("\nstages (since the start)")
        for line in stage_table(self._look.stages if self._look else {}, outcome.devices):
            show(line)
        show("\nledger")
        for entry in outcome.ledger:
            show(equation(entry))
        show("\nthe lake, by SQL: " + SAMPLE)
        show((await self._rimward("sql", SAMPLE)).decode().rstrip())
        if outcome.reports:
            path = self._reports / f"report-{outcome.reports[0]}.txt"
            show(f"\n{len(outcome.reports)} reports by the cloud function, such as {path.name}:")
            show(path.read_text().rstrip())
        show("\n" + self._summary(outcome))
        for reason in found:
            show(f"FAILED: {reason}")
        show("everything did its work" if not found else f"the logs are in {self._data / 'logs'}")
        return 1 if found else 0

    async def _outcome(self, restarts: int) -> Outcome:
        since = f"_received_at >= to_timestamp({self._began:.3f})"
        ledger = await self._json("ledger", Balance)
        motions = await self._json("sql", _Count, f"{MOTIONS} where {since} group by wearer")
        impacts = await self._json("sql", _Count, f"{IMPACTS} where {since}")
        return Outcome(
            devices=self._device_report,
            snapshot=self._look.snapshot if self._look else None,
            ledger=tuple(ledger),
            rows_by_wearer={row.name: row.n for row in motions},
            impacts=sum(row.n for row in impacts),
            reports=tuple(self._written()),
            restarts=restarts,
        )

    def _summary(self, outcome: Outcome) -> str:
        report = outcome.devices
        if report is None:
            return "no device reported"
        total, trip = report.total, report.round_trip_us
        first = "none" if self._first_row is None else f"{self._first_row:.1f} s after the start"
        return (
            f"{report.devices} devices sent {total.sent:,} samples: {total.acknowledged:,} acknowledged, "
            f"{total.late:,} left late. {total.buzzes:,} actions came back: p50 {trip.p50:,.0f} µs, "
            f"p99 {trip.p99:,.0f} µs, longest {trip.max:,.0f} µs. First row in the lake: {first}."
        )

    async def _json(self, verb: str, kind: type[Any], *arguments: str) -> list[Any]:
        out = await self._rimward(verb, *arguments, "--json")
        return [msgspec.json.decode(line, type=kind) for line in out.splitlines()]

    async def _rimward(self, verb: str, *arguments: str) -> bytes:
        """Return what a command says; its complaints are shown."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rimward", verb, *arguments, "--data", str(self._data),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(COMMAND):
                out, err = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if err:
            self._display.line(err.decode(errors="replace").rstrip())
        if process.returncode and process.returncode < 0:
            raise DemoError(f"rimward {verb} was ended by signal {-process.returncode} before it answered")
        return out

    # -- signals

    def _catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def _unless_stopped(self, line: Any) -> bytes:
        """Wait for something, unless a signal comes first."""
        wanted = asyncio.ensure_future(line)
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not wanted.done():
            wanted.cancel()
            raise DemoError("stopped before it was ready")
        return await wanted


class _Count(Struct):
    name: str
    n: int


class _Rate:
    """Events a second between two looks."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None  # wall ns, events
        self._rate = 0.0

    def of(self, look: Look) -> float:
        """Return the rate since the last look; it stays where the node has written nothing new."""
        if look.snapshot is None:
            return self._rate
        now = (look.snapshot.at, look.snapshot.counters.get("events", 0))
        if self._before is not None and now[0] > self._before[0]:
            self._rate = max(0, now[1] - self._before[1]) * 1e9 / (now[0] - self._before[0])
        self._before = now
        return self._rate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return its exit code."""
    options = _options(arguments)
    try:
        data_folder()
        return asyncio.run(Demo(options, Display()).run())
    except (DemoError, RecordingError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        "./dev demo", description="Real recordings, from the device to the lake."
    )
    text = "stop by itself after so many seconds of play (default: on ctrl-C)"
    parser.add_argument("--for", type=_positive, dest="seconds", metavar="SECONDS", help=text)
    parser.add_argument("--speed", type=_speed, default="1", help="recorded seconds in a second, or max")
    parser.add_argument("--seed", type=int, default=1, help="which cases play")
    text = "data folder (default: %(default)s); rimward sql --data DIR asks it afterwards"
    parser.add_argument("--data", type=Path, default=Path(".rimward-demo"), metavar="DIR", help=text)
    found = parser.parse_args(arguments)
    return Options(found.data, found.seconds, found.speed, found.seed)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _speed(text: str) -> str:
    return text if text == "max" else f"{_positive(text):g}"


if __name__ == "__main__":
    sys.exit(main())
