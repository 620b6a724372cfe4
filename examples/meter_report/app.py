"""Meter report: meters post what they have counted, and the cloud keeps a report for each day."""

import csv
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from rimward import App, Lake, Reject, http

USED = """
    select meter, max(kwh) - min(kwh) as used, count(*) as readings
    from reading where cast("at" as date) = cast($day as date)
    group by meter order by meter
"""


class Settings(Struct, frozen=True):
    reports: str = "reports"  # the folder that they are written to


app = App("meter-report", compat="2026-11-01", config=Settings)


class Count(Struct):
    at: datetime
    kwh: float  # since the meter was made


@app.fact
class Reading(Struct):
    meter: int
    at: datetime
    kwh: float


@app.edge(http.post("/meters/{meter}"))
def counted(meter: int, counts: list[Count]) -> None:
    if any(count.kwh < 0 for count in counts):
        raise Reject("invalid", "a meter can't count below zero")
    for count in counts:  # all of them or none
        app.forward(Reading(meter, count.at, count.kwh))


@app.cloud(Reading)  # at least once: it reads the table, so that a second run writes the same
def report(rows: list[Reading], lake: Lake, settings: Settings) -> None:
    folder = Path(settings.reports)
    folder.mkdir(parents=True, exist_ok=True)
    for day in {f"{row.at:%Y-%m-%d}" for row in rows}:
        used = lake.sql(USED, day=day).to_pylist()
        with (folder / f"{day}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["meter", "used", "readings"])
            writer.writeheader()
            writer.writerows(used)
