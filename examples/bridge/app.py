"""Bridge: what is posted over HTTP is published to MQTT subscribers."""

from msgspec import Struct

from rimward import App, Device, Reject, Reply, http

app = App("bridge", compat="2026-11-01")

OPEN = ("displays/", "lamps/")  # topics that may be written to from outside


class Published(Struct):
    topic: str
    size: int  # bytes


@app.fact(priority="bulk")
class Bridged(Struct):  # who wrote what, for the records
    caller: str
    topic: str
    size: int


@app.edge(http.post("/publish/{topic...}"))
def publish(topic: str, body: bytes, device: Device, qos: int = 0) -> Reply[Published]:  # ?qos=1
    if not topic.startswith(OPEN):
        raise Reject("denied", f"topics are {' and '.join(OPEN)}, not {topic}")
    if qos not in {0, 1}:
        raise Reject("invalid", f"qos is {qos}, it must be 0 or 1")
    app.publish(topic, body, qos=qos)
    app.forward(Bridged(device.id, topic, len(body)))
    return Reply(Published(topic, len(body)), status=202)
