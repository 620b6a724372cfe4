"""Any packet of either version, for property tests."""

from typing import Any

from hypothesis import strategies as st

from rimward.protocols.mqtt import (
    Auth,
    Connack,
    Connect,
    Decoder,
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
    reasons,
)
from rimward.protocols.mqtt import properties as props


def joined(parts: tuple[list[str], list[str]]) -> str:
    return "/".join(parts[0] + parts[1])


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
levels = st.text(st.characters(exclude_characters="\0+#/", exclude_categories=["Cs"]), max_size=5)
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
tails: st.SearchStrategy[list[str]] = st.sampled_from([[], ["#"]])
filters = st.tuples(st.lists(levels | st.just("+"), min_size=1, max_size=4), tails).map(joined).filter(bool)
payloads = st.binary(max_size=40)
ids = st.integers(1, 0xFFFF)
shorts = st.integers(0, 0xFFFF)


def decoded(data: bytes, version: int) -> Packet:
    """Return the one packet that the bytes are."""
    decoder = Decoder(1 << 20, version=version)
    (packet,) = decoder.feed(data)
    assert decoder.error is None, decoder.error
    return packet


def value(line: props.Property) -> st.SearchStrategy[Any]:
    """Any value of one property."""
    if line.name == "response_topic":
        return topics
    simple: dict[int, st.SearchStrategy[Any]] = {
        props.STRING: texts,
        props.BINARY: payloads,
        props.PAIR: st.tuples(texts, texts),
        props.VARINT: st.integers(1, 268_435_455),
    }
    most = {props.BYTE: 0xFF, props.SHORT: 0xFFFF, props.LONG: 0xFFFFFFFF}
    one = (
        simple[line.kind] if line.kind in simple else st.integers(line.least, min(line.most, most[line.kind]))
    )
    many = 1 if line.name == "subscription_ids" else 3
    return st.lists(one, min_size=1, max_size=many).map(tuple) if line.repeats else one


def properties(where: int, *without: str) -> st.SearchStrategy[Properties | None]:
    """Any properties that a packet type may have; None where there are none."""
    lines = [line for line in props.TABLE if where in line.where and line.name not in without]
    fields = st.fixed_dictionaries({}, optional={line.name: value(line) for line in lines})
    return fields.map(lambda found: Properties(**found) if found else None)


def _for(version: int, where: int, *without: str) -> st.SearchStrategy[Properties | None]:
    return properties(where, *without) if version == 5 else st.none()


def _reasons(version: int, allowed: frozenset[int]) -> st.SearchStrategy[int]:
    return st.sampled_from(sorted(allowed)) if version == 5 else st.just(0)


@st.composite
def publishes(draw: st.DrawFn, version: int, qos: int = 2, *without: str) -> Publish:
    """Any PUBLISH up to a QoS."""
    level = draw(st.integers(0, qos))
    return Publish(
        draw(topics),
        draw(payloads),
        level,
        draw(st.booleans()),
        draw(ids) if level else 0,
        draw(st.booleans()) if level else False,
        draw(_for(version, props.PUBLISH, *without)),
    )


@st.composite
def connects(draw: st.DrawFn, version: int) -> Connect:
    """Any CONNECT of a version."""
    will = None
    if draw(st.booleans()):
        will = Will(
            draw(topics), draw(payloads), draw(st.integers(0, 2)), draw(st.booleans()), draw(_for(version, 0))
        )
    username = draw(st.none() | texts)
    password = draw(st.none() | payloads) if version == 5 or username is not None else None
    found = draw(_for(version, props.CONNECT, "authentication_data"))
    return Connect(draw(texts), version, draw(st.booleans()), draw(shorts), username, password, will, found)


@st.composite
def subscriptions(draw: st.DrawFn, version: int) -> Subscription:
    """Any topic filter with options."""
    if version == 4:
        return Subscription(draw(filters), draw(st.integers(0, 2)))
    return Subscription(
        draw(filters.filter(lambda text: not text.startswith("$share/"))),
        draw(st.integers(0, 2)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.integers(0, 2)),
    )


def packets(version: int) -> st.SearchStrategy[Packet]:
    """Any packet of a version."""
    answers = [
        st.builds(kind, ids, _reasons(version, allowed), _for(version, where))
        for kind, where, allowed in (
            (Puback, props.PUBACK, reasons.PUBACK_REASONS),
            (Pubrec, props.PUBREC, reasons.PUBACK_REASONS),
            (Pubrel, props.PUBREL, reasons.PUBREL_REASONS),
            (Pubcomp, props.PUBCOMP, reasons.PUBREL_REASONS),
        )
    ]
    granted = sorted(reasons.SUBACK_REASONS) if version == 5 else [0, 1, 2, 0x80]
    unsubscribed = st.lists(st.sampled_from(sorted(reasons.UNSUBACK_REASONS)), max_size=3).map(tuple)
    others: list[st.SearchStrategy[Packet]] = [
        publishes(version),
        connects(version),
        st.builds(
            Connack,
            st.booleans(),
            _reasons(version, reasons.CONNACK_REASONS),
            _for(version, props.CONNACK),
        ),
        st.builds(
            Subscribe,
            ids,
            st.lists(subscriptions(version), min_size=1, max_size=3).map(tuple),
            _for(version, props.SUBSCRIBE),
        ),
        st.builds(
            Suback,
            ids,
            st.lists(st.sampled_from(granted), max_size=3).map(tuple),
            _for(version, props.SUBACK),
        ),
        st.builds(
            Unsubscribe,
            ids,
            st.lists(filters, min_size=1, max_size=3).map(tuple),
            _for(version, props.UNSUBSCRIBE),
        ),
        st.builds(
            Unsuback,
            ids,
            unsubscribed if version == 5 else st.just(()),
            _for(version, props.UNSUBACK),
        ),
        st.just(Pingreq()),
        st.just(Pingresp()),
        st.builds(Disconnect, _reasons(version, reasons.DISCONNECT_REASONS), _for(version, props.DISCONNECT)),
    ]
    if version == 5:
        others.append(st.builds(Auth, st.sampled_from(sorted(reasons.AUTH_REASONS)), properties(props.AUTH)))
    return st.one_of(*answers, *others)
