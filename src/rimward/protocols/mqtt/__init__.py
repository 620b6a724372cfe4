"""MQTT 3.1.1 and 5 without I/O: packets, topics, and the two sides of a connection."""

from rimward.protocols.mqtt.admission import SessionLimits
from rimward.protocols.mqtt.encoding import encode
from rimward.protocols.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from rimward.protocols.mqtt.reasons import MqttError, Reason
from rimward.protocols.mqtt.session import ServerSession
from rimward.protocols.mqtt.stream import Decoder
from rimward.protocols.mqtt.subscriptions import Subscriptions
from rimward.protocols.mqtt.topictree import TopicTree

__all__ = [
    "Auth",
    "Connack",
    "Connect",
    "Decoder",
    "Disconnect",
    "MqttError",
    "Packet",
    "Pingreq",
    "Pingresp",
    "Properties",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Reason",
    "ServerSession",
    "SessionLimits",
    "Suback",
    "Subscribe",
    "Subscription",
    "Subscriptions",
    "TopicTree",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "encode",
]
