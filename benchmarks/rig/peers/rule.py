"""The rule as a process of its own beside a broker: paho on mosquitto. usage: rule.py PORT"""

import json
import socket
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def on_message(client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
    if json.loads(message.payload)["celsius"] > 30.0:
        client.publish(message.topic[:-7] + "command", b'{"mode":"max"}', qos=message.qos)


def on_connect(client: mqtt.Client, *_: Any) -> None:
    connection = client.socket()
    assert isinstance(connection, socket.socket)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.subscribe("bench/+/reading", qos=1)


def main(port: int) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(0)
    client.on_message, client.on_connect = on_message, on_connect
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
