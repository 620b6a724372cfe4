"""A Site where the cloud extra is not installed."""

import subprocess
import sys
from pathlib import Path

TEST = """
import asyncio, sys
for package in ("deltalake", "duckdb", "pyarrow", "starlette", "uvicorn"):
    sys.modules[package] = None
sys.path.insert(0, sys.argv[1])
from workshop import app, Weighed
from rimward.testing import CloudMissing, Site

async def main():
    async with Site(app) as site:
        lamp = site.inbox("lines/a/lamp")
        assert (await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)).code == 0
        assert lamp.all == [{"parts": 1}]
        await site.settle()
        await site.kill9()
        assert (await site.http.get("/lines/a")).json() == {"count": 1, "fleeting": 0}
        assert (site.ledger.waiting, site.ledger.balanced()) == (1, True)
        for ask in (lambda: site.rows(Weighed), lambda: site.lake):
            try:
                ask()
            except CloudMissing as error:
                print(error)

asyncio.run(main())
"""


def test_everything_works_but_rows_and_lake_which_say_what_they_need() -> None:
    command = [sys.executable, "-c", TEST, str(Path(__file__).parent)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    sentence = "a Site's lake needs the cloud extra: pip install 'rimward[cloud]'\n"
    assert run.stdout == 2 * sentence, run.stderr
