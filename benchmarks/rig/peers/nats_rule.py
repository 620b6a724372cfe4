"""The rule as a Python process beside nats-server: its MQTT topics are subjects. usage: nats_rule.py PORT"""

import asyncio
import json
import sys

import nats
from nats.aio.msg import Msg


async def main(port: int) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")

    async def on_message(message: Msg) -> None:
        if json.loads(message.data)["celsius"] > 30.0:
            await client.publish(message.subject[:-7] + "command", b'{"mode":"max"}')

    await client.subscribe("bench.*.reading", cb=on_message)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
