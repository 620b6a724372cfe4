"""State over versions of an app, each start after a kill: fields come, go and change, and come back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from msgspec import Struct, field

from rimward import App, LoadError, State, States, http, mqtt
from rimward.testing import Site

Change = Callable[[Any, str], None]


def made(truck: type[Struct], change: Change, *migrations: Callable[[Any], Any], **options: Any) -> App:
    """Return a version of the app: what its trucks are, and what a message does to one."""
    app = App("trucks", compat="2026-11-01")
    app.state(key="truck", durable=True, name="Truck", **options)(truck)
    for version, function in enumerate(migrations, options.get("version", 1) - len(migrations)):
        app.migrate(truck, version=version)(function)

    def take(payload: str, state: Any) -> None:
        change(state.value, payload)

    def look(state: Any) -> Any:
        return state.value

    def everything(trucks: Any) -> dict[str, Any]:
        return dict(trucks.items())

    take.__annotations__["state"] = look.__annotations__["state"] = cast("Any", State)[truck]
    everything.__annotations__["trucks"] = cast("Any", States)[truck]
    app.edge(mqtt("trucks/{truck}"))(take)
    app.edge(http.get("/trucks/{truck}"))(look)
    app.edge(http.get("/trucks"))(everything)
    return app


class Text(Struct):
    celsius: str = ""
    seal: str = ""


class Door(Struct):
    name: str = ""
    open: bool = False


class DoorBy(Struct):
    name: str = ""
    open: bool = False
    by: str = ""


class Few(Struct):
    celsius: str = ""
    doors: list[Door] = field(default_factory=list[Door])


class Many(Struct):
    celsius: str = ""
    doors: list[DoorBy] = field(default_factory=list[DoorBy])
    driver: str | None = None


class Temp(Struct):
    temp: str = ""


class Number(Struct):
    celsius: float | None = None


class Milli(Struct):
    millis: int = 0


def celsius(value: Any, payload: str) -> None:
    value.celsius = payload


def number(value: Any, payload: str) -> None:
    value.celsius = float(payload)


def temp(value: Any, payload: str) -> None:
    value.temp = payload


def as_number(old: Text) -> Number:
    return Number(float(old.celsius))


def as_millis(old: Number) -> Milli:
    return Milli(round((old.celsius or 0) * 1000))


def number_of(old: dict[str, Any]) -> Number:
    return Number(float(old["celsius"]))


def nothing(value: Any, payload: str) -> None:
    del value, payload


async def sent(folder: Path, app: App, *payloads: str, truck: str = "7") -> Any:
    """Start a version on what was committed, send it something, return the truck that it sees; kill it."""
    async with Site(app, data=folder) as site:
        for payload in payloads:
            ack = await site.device(truck).publish(f"trucks/{truck}", payload, qos=1)
            assert ack.code == 0, ack
        return (await site.http.get(f"/trucks/{truck}")).json()


async def test_a_field_that_comes_has_its_default_and_one_that_goes_is_back_later(
    tmp_path: Path,
) -> None:
    def seals(value: Any, payload: str) -> None:
        value.seal = payload

    await sent(tmp_path, made(Text, seals), "intact")
    assert await sent(tmp_path, made(Few, celsius)) == {"celsius": "", "doors": []}
    assert await sent(tmp_path, made(Few, celsius), "9.5") == {"celsius": "9.5", "doors": []}
    assert await sent(tmp_path, made(Text, seals)) == {"celsius": "9.5", "seal": "intact"}
    await sent(tmp_path, made(Few, celsius, removed=("seal",)), "8")
    assert await sent(tmp_path, made(Text, seals)) == {"celsius": "8", "seal": ""}


async def test_an_older_version_changes_a_cell_and_keeps_what_a_newer_one_put_there(
    tmp_path: Path,
) -> None:
    def drives(value: Any, payload: str) -> None:
        value.driver = payload
        value.doors = [
            DoorBy("left", by="anna"),
            DoorBy("back", open=True, by="ben"),
            DoorBy("right", by="cem"),
        ]

    def opens(value: Any, payload: str) -> None:
        value.celsius = payload
        value.doors[1].open = False
        del value.doors[0]

    await sent(tmp_path, made(Many, drives), "dora")
    was = await sent(tmp_path, made(Few, opens), "9")
    assert was == {
        "celsius": "9",
        "doors": [{"name": "back", "open": False}, {"name": "right", "open": False}],
    }
    now = await sent(tmp_path, made(Many, drives))
    assert (now["celsius"], now["driver"]) == ("9", "dora")
    assert [door["by"] for door in now["doors"]] == ["", "cem"]  # of the one that it left as it was


async def test_a_renamed_field_is_one_field_for_both_versions(tmp_path: Path) -> None:
    after = made(Few, celsius, was_fields={"celsius": "temp"})
    await sent(tmp_path, made(Temp, temp), "9")
    assert (await sent(tmp_path, after))["celsius"] == "9"
    assert (await sent(tmp_path, after, "8"))["celsius"] == "8"
    assert await sent(tmp_path, made(Temp, temp)) == {"temp": "8"}
    await sent(tmp_path, made(Temp, temp), "7")
    assert (await sent(tmp_path, after))["celsius"] == "7"


async def test_a_cell_goes_through_every_version_that_it_has_missed(tmp_path: Path) -> None:
    await sent(tmp_path, made(Text, celsius), "9.5")
    await sent(tmp_path, made(Text, celsius), "4", truck="8")
    assert await sent(tmp_path, made(Number, number, as_number, version=2)) == {"celsius": 9.5}
    assert await sent(tmp_path, made(Number, number, as_number, version=2), "5", truck="8") == {
        "celsius": 5.0
    }
    third = made(Milli, nothing, as_number, as_millis, version=3)
    async with Site(third, data=tmp_path) as site:
        assert (await site.http.get("/trucks")).json() == {"7": {"millis": 9500}, "8": {"millis": 5000}}


async def test_a_cell_of_a_newer_version_is_refused_and_kept_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    first, second = made(Text, celsius), made(Number, number, number_of, version=2)
    await sent(tmp_path, first, "9")
    await sent(tmp_path, first, "3", truck="8")
    await sent(tmp_path, second, "10")
    async with Site(first, data=tmp_path) as site:
        ack = await site.device("7").publish("trucks/7", "11", qos=1)
        assert (ack.code, ack.reason) == (0x83, "take raised StateUnreadable")
        [dead] = site.dead_letters
        assert "of version 2, and this app knows 1" in dead.detail
        assert (await site.http.get("/trucks/7")).status == 500
        assert (await site.http.get("/trucks/8")).json()["celsius"] == "3"
        assert (await site.http.get("/trucks")).status == 500
        assert site.node.dispatcher.cells[Text].drawer.unread == 3
    assert await sent(tmp_path, second) == {"celsius": 10.0}


async def test_a_migration_that_raises_leaves_its_cell_and_the_others_alone(tmp_path: Path) -> None:
    first, second = made(Text, celsius), made(Number, number, as_number, version=2)
    await sent(tmp_path, first, "warm")
    await sent(tmp_path, first, "3", truck="8")
    async with Site(second, data=tmp_path) as site:
        ack = await site.device("7").publish("trucks/7", "11", qos=1)
        assert ack.code == 0x83
        [dead] = site.dead_letters
        assert "could not be migrated: ValueError: could not convert string to float" in dead.detail
        assert (await site.http.get("/trucks/8")).json() == {"celsius": 3.0}
    assert (await sent(tmp_path, first))["celsius"] == "warm"


async def test_a_type_that_was_changed_without_a_word_is_refused_at_the_start(tmp_path: Path) -> None:
    await sent(tmp_path, made(Text, celsius), "9")
    with pytest.raises(LoadError, match="state Truck: the cells that are there don't fit") as caught:
        await sent(tmp_path, made(Number, number))
    assert caught.value.cure == "raise version= and write @app.migrate(Number, version=…)"
    assert caught.value.file == __file__
    assert (await sent(tmp_path, made(Text, celsius)))["celsius"] == "9"


async def test_a_migration_may_ask_for_no_effects(tmp_path: Path) -> None:
    def tells(old: Text) -> Number:
        app.publish("migrated", old.celsius)
        return Number()

    app = made(Number, number, tells, version=2)
    await sent(tmp_path, made(Text, celsius), "9")
    with pytest.raises(LoadError, match="could not be migrated: NoNode"):
        await sent(tmp_path, app)


def test_cells_of_the_first_version_are_kept_as_they_were_before_there_were_versions() -> None:
    [state] = made(Text, celsius).states.values()
    body = msgspec.msgpack.encode(Text("9", "intact"))
    assert state.form.seal(body) == body
    assert state.form.load(body) == (Text("9", "intact"), None)
    [second] = made(Number, number, as_number, version=2).states.values()
    marked = second.form.seal(msgspec.msgpack.encode(Number(9.5)))
    assert msgspec.msgpack.decode(marked) == {"celsius": 9.5, "": 2}
    assert msgspec.msgpack.decode(marked, type=Number) == Number(9.5)
