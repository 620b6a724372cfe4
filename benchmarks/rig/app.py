"""A reading over a threshold sends a command back: the rule that every server of this benchmark runs."""

from msgspec import Struct

from rimward import App, mqtt

app = App("bench-action", compat="2026-11-01")


class Reading(Struct):
    celsius: float
    place: str


@app.edge(mqtt("bench/{device}/reading"), budget="5ms")
def guard(device: str, reading: Reading) -> None:
    if reading.celsius > 30.0:
        app.publish(f"bench/{device}/command", {"mode": "max"}, qos=1)  # at most the subscriber's QoS
