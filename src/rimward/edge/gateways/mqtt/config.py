"""What the MQTT gateway allows."""

from msgspec import Struct

from rimward.protocols.mqtt import SessionLimits


class MqttConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's limits; those of one client are announced to it where the protocol can."""

    max_packet_size: int = 256 << 10  # bytes, header included
    max_connections: int = 20_000
    receive_maximum: int = 1024  # messages of one client that wait for their answer
    topic_alias_maximum: int = 32
    max_subscriptions: int = 256  # of one client
    max_all_subscriptions: int = 250_000  # of all clients
    max_subscription_bytes: int = 128 << 20  # that they may take, about
    max_inflight: int = 4096  # QoS 1 messages sent to one client and not yet acknowledged
    max_output: int = 1 << 20  # bytes that wait for one slow reader
    max_retained: int = 10_000  # topics
    max_retained_bytes: int = 64 << 20
    connect_timeout: float = 10.0  # seconds from a connection to its CONNECT
    linger: float = 2.0  # seconds that a client gets to read a goodbye

    def session_limits(self) -> SessionLimits:
        """Return the part that one session keeps to."""
        return SessionLimits(
            max_packet_size=self.max_packet_size,
            receive_maximum=self.receive_maximum,
            topic_alias_maximum=self.topic_alias_maximum,
            max_inflight=self.max_inflight,
            max_output=self.max_output,
            connect_timeout=self.connect_timeout,
        )
