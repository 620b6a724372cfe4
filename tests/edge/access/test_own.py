"""What an app's patterns let an identity do by themselves."""

import pytest

from rimward import App, http, mqtt
from rimward.edge.access.own import bound_pattern, own_patterns


@pytest.mark.parametrize(
    ("pattern", "bound", "below"),
    [
        ("trucks/{truck}/temperature", "trucks/{client}/temperature", "trucks/{client}/#"),
        ("{device}", "{client}", "{client}/#"),
        ("a/{b}/c/{d}", "a/{client}/c/+", "a/{client}/#"),
        ("a/{b}/{rest...}", "a/{client}/#", "a/{client}/#"),
        ("a/{rest...}", "a/{client}/#", "a/{client}/#"),
        ("open", "open", None),
        ("", "", None),
    ],
)
def test_the_first_capture_is_the_identity(pattern: str, bound: str, below: str | None) -> None:
    assert bound_pattern(pattern) == (bound, below)


def test_every_trigger_that_a_device_causes_is_in_and_nothing_else() -> None:
    app = App("own", compat="2026-11-01")

    @app.edge(mqtt("trucks/{truck}/temperature"))
    def temperature(truck: str, payload: bytes) -> None:
        del truck, payload

    @app.edge(http.get("/trucks/{truck}"))
    def look(truck: str) -> str:
        return truck

    @app.edge(http.post("/reports"))
    def report(payload: bytes) -> None:
        del payload

    own = own_patterns(app.manifest().functions)
    assert own.publish == ("devices/{client}/replies/#", "trucks/{client}/temperature")
    assert own.subscribe == ("devices/{client}/commands/#", "trucks/{client}/#")
    assert own.request == ("GET /trucks/{client}", "HEAD /trucks/{client}", "POST /reports")
    assert own.observe == ("/trucks/{client}", "/reports")
