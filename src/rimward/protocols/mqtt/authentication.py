"""Enhanced authentication [5: 4.12]: which AUTH may come when. What is in them is the method's own."""

from rimward.protocols.mqtt.packets import Auth, Connect, Properties
from rimward.protocols.mqtt.reasons import MqttError, Reason


def method_of(packet: Connect | Auth) -> str | None:
    """Return the method that a packet names."""
    return packet.properties.authentication_method if packet.properties is not None else None


def data_of(packet: Connect | Auth) -> bytes:
    """Return what a packet says in its method's own words."""
    data = packet.properties.authentication_data if packet.properties is not None else None
    return data or b""


def check_auth(packet: Auth, method: str | None, *, accepted: bool, exchanging: bool) -> None:
    """Check a client's AUTH against the state of its connection.

    Raises:
        MqttError: CONNECT named no method or another one, or no AUTH is expected.
    """
    if method is None:
        raise MqttError(Reason.PROTOCOL_ERROR, "AUTH where CONNECT named no method [MQTT-4.12.0-7]")
    if method_of(packet) != method:
        raise MqttError(Reason.PROTOCOL_ERROR, "AUTH names another method than CONNECT [MQTT-4.12.0-5]")
    again = packet.reason == Reason.RE_AUTHENTICATE
    expected = accepted and not exchanging if again else exchanging
    if packet.reason == Reason.SUCCESS or not expected:
        raise MqttError(Reason.PROTOCOL_ERROR, f"AUTH with reason {packet.reason:#04x} is not expected here")


def step(method: str, data: bytes, reason: Reason = Reason.CONTINUE_AUTHENTICATION) -> Auth:
    """Return the server's next step, or with SUCCESS the end of a re-authentication."""
    return Auth(reason, Properties(authentication_method=method, authentication_data=data or None))
