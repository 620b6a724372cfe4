"""`python -m benchmarks.coap.servers node|aiocoap PORT`: one server, in a process of its own."""

import asyncio
import gc
import json
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any


async def node(port: int) -> None:
    """Serve with a whole node: outbox, tracing and histograms on."""
    from benchmarks.coap.app import app
    from rimward.edge.config import NodeConfig
    from rimward.edge.node import Node

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    with tempfile.TemporaryDirectory() as data:
        async with Node(app, NodeConfig(app=str(Path(__file__).with_name("app.py")), data=data)) as running:
            await running.serve(None, None, (sock,))
            gc.freeze()
            await ready()


async def aiocoap(port: int) -> None:
    """Serve with aiocoap, which only decodes, adds and encodes."""
    import aiocoap
    from aiocoap import resource

    class Meter(resource.Resource):
        total = 0.0

        async def render_post(self, request: Any) -> Any:
            self.total += json.loads(request.payload)["value"]
            payload = json.dumps({"total": self.total}).encode()
            return aiocoap.Message(code=aiocoap.CHANGED, payload=payload, content_format=50)

    site = resource.Site()
    site.add_resource(["meters", "7"], Meter())
    await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port), transports=["simplesocketserver"]
    )
    await ready()


async def ready() -> None:
    print("ready", flush=True)
    await asyncio.Event().wait()


def main(name: str, port: int) -> None:
    """Run until killed."""
    if name == "aiocoap":
        asyncio.run(aiocoap(port))
    else:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(node(port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
