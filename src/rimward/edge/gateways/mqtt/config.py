"""What the MQTT gateway allows."""

from typing import Literal

from msgspec import Struct

from rimward.protocols.mqtt import SessionLimits


class MqttConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's limits; those of one client are announced to it where the protocol can."""

    max_packet_size: int = 256 << 10  # bytes, header included
    max_connections: int = 20_000
    receive_maximum: int = 1024  # messages above QoS 0 of one client that are not answered to the end
    topic_alias_maximum: int = 32
    max_subscriptions: int = 256  # of one client
    max_all_subscriptions: int = 250_000  # of all clients
    max_subscription_bytes: int = 128 << 20  # that they may take, about
    max_inflight: int = 4096  # messages above QoS 0 sent to one client and not yet acknowledged
    max_output: int = 1 << 20  # bytes that wait for one slow reader
    max_retained: int = 10_000  # topics
    max_retained_bytes: int = 64 << 20
    max_session_expiry: int = 7 * 86_400  # seconds beyond the connection; 2**32-1 is for ever
    max_sessions: int = 20_000  # that outlive their connections; beyond it a client gets one that does not
    max_queue: int = 4096  # messages above QoS 0 that one such session keeps, those in flight included
    max_queue_bytes: int = 4 << 20  # the same in bytes
    max_queued_bytes: int = 256 << 20  # of all such sessions
    queue_full: Literal["oldest", "newest"] = "oldest"  # which message a full queue drops, and counts
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
            max_session_expiry=self.max_session_expiry,
        )
