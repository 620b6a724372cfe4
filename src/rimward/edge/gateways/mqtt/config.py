"""What the MQTT gateway allows."""

from typing import Literal

from msgspec import Struct

from rimward.edge.gateways.overload import OverloadConfig
from rimward.protocols.mqtt import SessionLimits
from rimward.protocols.mqtt.admission import FOR_EVER


class RateConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken in a second; 0 is no limit."""

    messages: float = 0.0  # of one client
    bytes: float = 0.0  # of one client, topics and payloads
    critical: float = 0.0  # messages of all clients whose topic is of this class
    normal: float = 0.0
    bulk: float = 0.0
    burst: float = 2.0  # seconds of a rate that may come at once
    patience: float = 5.0  # seconds that an MQTT 3.1.1 client is not read before it is closed

    @property
    def limits(self) -> bool:
        """Whether there is any."""
        return any((self.messages, self.bytes, self.critical, self.normal, self.bulk))


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
    max_session_expiry: int = FOR_EVER  # seconds that a session may outlive its connection
    session_expiry_3: int = 7 * 86_400  # the same for those of MQTT 3.1.1, which names no time
    max_sessions: int = 20_000  # that outlive their connections; beyond it a client gets one that does not
    max_queue: int = 4096  # messages above QoS 0 that one such session keeps, those in flight included
    max_queue_bytes: int = 4 << 20  # the same in bytes
    max_queued_bytes: int = 256 << 20  # of all such sessions
    queue_full: Literal["oldest", "newest"] = "oldest"  # which message a full queue drops, and counts
    max_unannounced: int = 4096  # connections that have not sent CONNECT; the oldest makes room
    connects_per_second: float = 0.0  # of all addresses together; 0: no limit
    connects_per_address: float = 0.0  # the same for one address
    connect_burst: float = 5.0  # seconds of these rates that may come at once
    server_reference: str = ""  # where clients go when the node is full or drains, "host:port host:port"
    server_moved: bool = False  # send everybody there, for good
    max_keep_alive: int = 0  # seconds; MQTT 5 clients with more, or none, are told this one; 0: any is fine
    response_information: str = ""  # for those that ask: where replies may go; {client} is the client id
    aliases_to_clients: int = 32  # topics of one client that get a short name, where it takes as many
    figures_interval: float = 10.0  # seconds between two $SYS messages; 0: there are none
    rates: RateConfig = RateConfig()
    overload: OverloadConfig = OverloadConfig()
    connect_timeout: float = 10.0  # seconds from a connection to its CONNECT
    linger: float = 2.0  # seconds that a client gets to read a goodbye

    def session_limits(self, methods: tuple[str, ...] = ()) -> SessionLimits:
        """Return the part that one session keeps to; `methods` are those of enhanced authentication."""
        return SessionLimits(
            authentication_methods=methods,
            max_packet_size=self.max_packet_size,
            receive_maximum=self.receive_maximum,
            topic_alias_maximum=self.topic_alias_maximum,
            max_inflight=self.max_inflight,
            max_output=self.max_output,
            server_reference=self.server_reference,
            max_keep_alive=self.max_keep_alive,
            response_information=self.response_information,
            aliases_to_clients=self.aliases_to_clients,
            connect_timeout=self.connect_timeout,
            max_session_expiry=self.max_session_expiry,
            session_expiry_3=self.session_expiry_3,
        )
