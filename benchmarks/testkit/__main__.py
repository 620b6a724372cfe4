"""`./dev bench testkit [--json] [--rounds N]`."""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from statistics import median

from benchmarks.report import Bar, Figure, all_met, print_json, print_table
from benchmarks.testkit.app import TooWarm, app
from rimward.testing import Site

WARM = {"celsius": 9.5}


async def action() -> None:
    """Run the test that the bar is about: a device publishes, the chiller gets its action."""
    async with Site(app) as site:
        chiller, truck = site.inbox("trucks/7/chiller"), site.device("7")
        await truck.publish("trucks/7/temperature", WARM, qos=1)
        assert chiller.all == [{"mode": "max"}]


async def crash() -> None:
    """Kill the node after the acknowledgement."""
    async with Site(app) as site:
        truck = site.device("7")
        await truck.publish("trucks/7/temperature", WARM, qos=1)
        await site.kill9()
        assert site.ledger.waiting == 1


async def three_days() -> None:
    """Let three days pass with a device that keeps its connection alive every minute."""
    async with Site(app) as site:
        truck = site.device("7", keep_alive="60s")
        await site.advance("72h")
        assert truck.connected


async def offline(hours: int) -> None:
    """Be offline for so long, with an event a minute of ten devices, then catch up."""
    events = hours * 600
    async with Site(app) as site:
        trucks = [site.device(str(number)) for number in range(10)]
        site.uplink.down()
        for _ in range(hours * 60):
            for truck in trucks:
                await truck.publish(f"trucks/{truck.id}/temperature", WARM, qos=1)
            await site.advance("1m")
        assert site.ledger.waiting == events
        site.uplink.up()
        await site.settle()
        ledger = site.ledger
        assert ledger.balanced()
        assert ledger.stored == ledger.forwarded == events


async def row() -> None:
    """Bring a row into the lake and read it there."""
    async with Site(app) as site:
        await site.device("7").publish("trucks/7/temperature", WARM, qos=1)
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]


Test = Callable[[], Coroutine[None, None, None]]
TESTS: tuple[tuple[str, Test, int, Bar | None], ...] = (
    ("device, action, inbox", action, 100, Bar("<=", 5.0)),
    ("the same with kill9 and the ledger", crash, 50, None),
    ("72 h with keep-alives", three_days, 3, None),
    ("a row into the lake and back", row, 10, None),
)
HOURS = 72  # offline
OFFLINE = "offline with an event a minute of ten devices, 72 h of it"


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(prog="./dev bench testkit", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default 5)")
    parser.add_argument("--hours", type=int, default=HOURS, metavar="N", help="of being offline (default 72)")
    options = parser.parse_args(arguments)
    figures = [_figure(*test, options.rounds) for test in TESTS]
    took = _test_ms(lambda: offline(options.hours)) / 1e3 * HOURS / options.hours
    figures.append(Figure(OFFLINE, took, "s", Bar("<=", 20.0)))
    imports = [_import_ms() for _ in range(options.rounds)]
    spread = (min(imports), max(imports))
    figures.append(Figure("import rimward.testing", median(imports), "ms", spread=spread))
    (print_json if options.json else print_table)(figures, sys.stdout)
    return 0 if all_met(figures) else 1


def _figure(name: str, test: Test, times: int, bar: Bar | None, rounds: int) -> Figure:
    asyncio.run(test())  # what is imported at first use is not counted
    values = [median(_test_ms(test) for _ in range(times)) for _ in range(rounds)]
    return Figure(name, median(values), "ms", bar, (min(values), max(values)))


def _test_ms(test: Test) -> float:
    """Return what a test takes with its own loop, as pytest runs it."""
    begun = time.perf_counter()
    asyncio.run(test())
    return (time.perf_counter() - begun) * 1e3


def _import_ms() -> float:
    code = "import time; t = time.perf_counter(); import rimward.testing; print(time.perf_counter() - t)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return float(shown.stdout) * 1e3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
