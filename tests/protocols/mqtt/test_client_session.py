"""A client's session, alone and joined to a server's by memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    MqttError,
    Packet,
    Pingreq,
    Properties,
    Puback,
    Publish,
    Reason,
    ServerSession,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    encode,
)
from rimward.protocols.mqtt.client import ClientSession
from rimward.protocols.mqtt.outgoing import message


def connected(version: int = 5, properties: Properties | None = None, keep_alive: int = 0) -> ClientSession:
    client = ClientSession(Connect("c", version, keep_alive=keep_alive), 0.0)
    client.data_to_send(0.0)
    client.receive_data(encode(Connack(properties=properties), version))
    assert client.connected
    return client


class Pair:
    """A client and a server that hear each other by memory."""

    def __init__(self, version: int) -> None:
        self.client = ClientSession(Connect("c", version), 0.0)
        self.server = ServerSession(0.0)
        self.at_server: list[Packet] = []
        self.at_client: list[Packet] = []

    def talk(self, cut: int = 0) -> None:
        """Carry bytes both ways until nobody has anything to say."""
        while data := self.client.data_to_send(0.0):
            place = cut % (len(data) + 1)
            for piece in (data[:place], data[place:]):
                self._serve(self.server.receive_data(piece, 0.0))
            for packet in self.client.receive_data(self.server.data_to_send()):
                self.at_client.append(packet)
                if isinstance(packet, Publish) and packet.qos:
                    self.client.acknowledge(packet.packet_id)

    def _serve(self, packets: list[Packet]) -> None:
        server = self.server
        self.at_server += packets
        for packet in packets:
            match packet:
                case Connect():
                    server.accept()
                case Publish():
                    if packet.qos:
                        server.acknowledge(packet.packet_id)
                    echo = message(packet.topic, packet.payload, packet.qos, retain=False)
                    server.deliver(echo, packet.qos, 0.0, retain=False)
                case Subscribe():
                    server.granted(packet, tuple(wish.qos for wish in packet.subscriptions))
                case Unsubscribe():
                    server.ended_subscriptions(packet, tuple(0 for _ in packet.filters))
                case Pingreq():
                    server.pong()
                case Puback():
                    server.confirmed(packet, 0.0)
                case _:
                    pass


@given(
    st.sampled_from([4, 5]),
    st.lists(st.tuples(st.sampled_from(["a", "b/c"]), st.binary(max_size=9), st.integers(0, 1))),
    st.integers(0),
)
def test_client_and_server_understand_each_other(
    version: int, messages: list[tuple[str, bytes, int]], cut: int
) -> None:
    pair = Pair(version)
    pair.talk(cut)
    pair.client.subscribe(Subscription("a", 1), Subscription("b/#"))
    pair.client.unsubscribe("b/#")
    for topic, payload, qos in messages:
        pair.client.publish(topic, payload, qos)
    pair.talk(cut)
    sent = [(p.topic, p.payload, p.qos) for p in pair.at_server if isinstance(p, Publish)]
    heard = [(p.topic, p.payload, p.qos) for p in pair.at_client if isinstance(p, Publish)]
    assert sent == heard == messages
    assert pair.client.unacknowledged == {}
    assert pair.server.inflight == {}
    assert {type(p) for p in pair.at_client} >= {Connack, Suback, Unsuback}
    pair.client.disconnect()
    pair.talk(cut)
    assert pair.server.ended
    assert pair.server.error is None


def test_the_server_assigns_an_id_and_sets_its_limits() -> None:
    client = ClientSession(Connect("", 5, keep_alive=60), 0.0)
    offer = Properties(
        assigned_client_id="auto",
        receive_maximum=1,
        maximum_packet_size=30,
        maximum_qos=1,
        server_keep_alive=5,
    )
    client.data_to_send(0.0)
    client.receive_data(encode(Connack(properties=offer), 5))
    assert client.client_id == "auto"
    assert client.deadline == 5.0
    with pytest.raises(MqttError, match="QoS 2"):
        client.publish("a", b"", 2)
    with pytest.raises(MqttError, match="30"):
        client.publish("a", b"x" * 30, 1)
    assert client.can_publish
    client.publish("a", b"", 1)
    assert not client.can_publish
    with pytest.raises(MqttError, match="limit is 1"):
        client.publish("a", b"", 1)


def test_a_refused_connection_says_why() -> None:
    client = ClientSession(Connect("c", 5), 0.0)
    packets = client.receive_data(encode(Connack(reason=0x87), 5))
    assert packets == [Connack(reason=0x87)]
    assert client.closed
    assert not client.connected
    assert client.error is None


def test_a_server_that_does_not_answer_is_given_up() -> None:
    client = ClientSession(Connect("c", 5), 0.0, timeout=3.0)
    assert client.deadline == 3.0
    client.tick(2.9)
    assert client.error is None
    client.tick(3.0)
    assert client.error is not None
    assert client.error.reason is Reason.KEEP_ALIVE_TIMEOUT


def test_a_quiet_client_pings_when_it_has_sent_nothing_for_its_keep_alive() -> None:
    client = connected(keep_alive=60)
    assert client.deadline == 60.0
    client.publish("a", b"")
    client.data_to_send(30.0)
    assert client.deadline == 90.0
    client.tick(90.0)
    assert client.data_to_send(90.0) == b"\xc0\x00"
    assert client.deadline == 100.0
    client.receive_data(b"\xd0\x00")
    assert client.deadline == 150.0
    client.tick(150.0)
    client.data_to_send(150.0)
    client.tick(160.0)
    assert client.error is not None
    assert client.deadline is None


def test_what_was_not_acknowledged_can_be_sent_again_marked_as_such() -> None:
    client = connected(4)
    client.publish("a", b"x", 1)
    (packet,) = client.unacknowledged.values()
    again = connected(4)
    assert again.publish_again(packet) == 1
    assert again.data_to_send(0.0) == encode(Publish("a", b"x", 1, packet_id=1, dup=True), 4)
    again.receive_data(encode(Puback(1), 4))
    assert again.unacknowledged == {}


@pytest.mark.parametrize(
    "packet",
    [
        Connect("c", 5),
        Connack(),
        Pingreq(),
        Subscribe(1, (Subscription("a"),)),
        Publish("a", b"", 2, packet_id=1),
        Publish("", b"", properties=Properties(topic_alias=1)),
    ],
)
def test_a_server_that_breaks_a_rule_is_told_and_left(packet: Packet) -> None:
    client = connected()
    assert client.receive_data(encode(packet, 5)) == []
    assert client.closed
    assert client.error is not None
    goodbye = encode(Disconnect(client.error.reason), 5)
    assert client.data_to_send(0.0) in {goodbye, encode(Disconnect(Reason.UNSPECIFIED_ERROR), 5)}
    assert client.data_to_send(0.0) == b""


def test_the_servers_goodbye_is_the_end() -> None:
    client = connected()
    assert client.receive_data(encode(Disconnect(0x8B), 5)) == [Disconnect(0x8B)]
    assert client.closed
    assert client.error is None


@given(st.sampled_from([4, 5]), st.binary(max_size=60))
def test_random_bytes_from_a_server_never_raise(version: int, data: bytes) -> None:
    for client in (ClientSession(Connect("c", version), 0.0), connected(version)):
        client.receive_data(data)
        client.data_to_send(0.0)
