"""The meter report: batches are taken whole, and each day's report is made from the table."""

from pathlib import Path

from examples.meter_report.app import Reading, Settings, app

from rimward.testing import Site


def counts(day: str, *kwh: float) -> list[dict[str, object]]:
    return [{"at": f"{day}T{8 + hour:02}:00:00Z", "kwh": value} for hour, value in enumerate(kwh)]


async def test_the_days_use_is_reported_for_every_meter(tmp_path: Path) -> None:
    async with Site(app, config=Settings(str(tmp_path))) as site:
        assert (await site.http.post("/meters/1", counts("2026-01-01", 10.0, 11.5))).status == 204
        await site.http.post("/meters/2", counts("2026-01-01", 7.0, 7.25, 7.75))
        await site.http.post("/meters/1", counts("2026-01-02", 12.0))
        await site.settle()
        assert site.errors == []
        assert (tmp_path / "2026-01-01.csv").read_text() == "meter,used,readings\n1,1.5,2\n2,0.75,3\n"
        assert (tmp_path / "2026-01-02.csv").read_text() == "meter,used,readings\n1,0.0,1\n"


async def test_a_later_batch_renews_the_days_report(tmp_path: Path) -> None:
    async with Site(app, config=Settings(str(tmp_path))) as site:
        for kwh in (10.0, 12.0):
            await site.http.post("/meters/1", counts("2026-01-01", kwh))
            await site.settle()
        assert (tmp_path / "2026-01-01.csv").read_text() == "meter,used,readings\n1,2.0,2\n"


async def test_a_batch_with_one_wrong_count_leaves_nothing(tmp_path: Path) -> None:
    async with Site(app, config=Settings(str(tmp_path / "reports"))) as site:
        answer = await site.http.post("/meters/1", counts("2026-01-01", 10.0, -1.0))
        assert (answer.status, answer.json()["detail"]) == (400, "a meter can't count below zero")
        answer = await site.http.post("/meters/first", counts("2026-01-01", 10.0))
        assert answer.status == 422
        await site.settle()
        assert site.rows(Reading) == []
        assert not (tmp_path / "reports").exists()
