"""Commands to CoAP devices: where they go, how they are acknowledged, and how they fail."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rimward.protocols.coap import Message, dotted, encode, request
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import ACK, CHANGED, CON, CONTENT, NON, POST, RST
from rimward.protocols.coap.oscore import open_request, protect_response
from rimward.protocols.coap.oscore.messages import header_of

from .coap_house import FAR, NEAR, House, coap_house
from .oscore_support import ACCESS, Meter, access_of

APP = """
from rimward import CommandTimeout, NotConnected, coap
kept = []
class Answer(Struct):
    celsius: float
@app.edge(coap.post("ask/{name}"), timeout="2h")
async def ask(name: str, device: Device, size: int = 1) -> str:
    kept.append(device)
    try:
        answer = await device.command(name, "x" * size, timeout="1h", reply=Answer)
    except (NotConnected, CommandTimeout, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return f"it is {answer.celsius}"
@app.edge(coap.post("later"))
async def later() -> str:
    try:
        await kept[0].command("heat", timeout="1h")
    except NotConnected as error:
        return str(error)
    return "done"
"""
RULES = ACCESS + '\n[[rule]]\nrequest = ["POST /ask/+"]\n'
WARM = b'{"celsius": 21.5}'


def wire(house: House) -> House:
    house.bench.dispatcher.commands.routers["coap"] = house.gateway
    house.gateway.serving.commanding.replies = house.bench.dispatcher.commands
    return house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with coap_house(tmp_path, functions=APP) as house:
        yield wire(house)


async def commanded(house: House, path: str = "ask/heat", address: Any = NEAR) -> Message:
    """Have a device commanded by its own request; return the command."""
    house.ask(request(POST, path), address)
    await house.until(lambda: bool(house.sent))
    [(command, where)] = house.sent
    assert where == address
    house.heard()
    return command


def reply(house: House, message: Message, address: Any = NEAR) -> None:
    house.gateway.datagrams.datagram(encode(message), address)


async def told(house: House) -> bytes:
    """Return what the function says in the end."""
    await house.until(lambda: bool(house.sent))
    return house.heard()[-1].payload


async def test_a_command_is_a_confirmable_post_and_its_response_the_acknowledgement(house: House) -> None:
    command = await commanded(house)
    assert (command.type, command.code, command.payload) == (CON, POST, b"x")
    assert command.options == [(opt.URI_PATH, b"commands"), (opt.URI_PATH, b"heat")]
    reply(house, Message(CHANGED, command.token, [(opt.CONTENT_FORMAT, b"\x32")], WARM, ACK, command.mid))
    assert await told(house) == b"it is 21.5"
    assert house.gateway.stats()["commands_sent"] == 1


@pytest.mark.parametrize("kind", [CON, NON])
async def test_a_device_may_answer_later_by_itself(house: House, kind: int) -> None:
    command = await commanded(house)
    house.acknowledge(command)
    assert house.heard() == []
    reply(house, Message(CONTENT, command.token, [], WARM, kind, 77))
    acks = [message for message, _ in house.sent if message.type == ACK and not message.code]
    assert [message.mid for message in acks] == ([77] if kind == CON else [])
    house.heard()
    assert await told(house) == b"it is 21.5"


async def test_another_address_or_token_answers_nothing(house: House) -> None:
    command = await commanded(house)
    house.acknowledge(command)
    reply(house, Message(CONTENT, command.token, [], b'{"celsius": 0}', NON, 77), FAR)
    reply(house, Message(CONTENT, b"guess", [], b'{"celsius": 0}', NON, 78))
    reply(house, Message(CONTENT, command.token, [], WARM, NON, 79))
    assert await told(house) == b"it is 21.5"


async def test_a_device_that_refuses_is_not_connected(house: House) -> None:
    command = await commanded(house)
    reply(house, Message(0x84, command.token, [], b"", ACK, command.mid))
    assert await told(house) == b"NotConnected: 127.0.0.1: it answered 4.04 Not Found"


async def test_a_device_that_wants_to_see_an_echo_is_sent_it_once(house: House) -> None:
    first = await commanded(house)
    reply(house, Message(0x81, first.token, [(opt.ECHO, b"again")], b"", ACK, first.mid))
    [second] = house.heard()
    assert second.token != first.token
    assert (second.payload, second.options) == (first.payload, [*first.options, (opt.ECHO, b"again")])
    reply(house, Message(0x81, second.token, [(opt.ECHO, b"more")], b"", ACK, second.mid))
    assert await told(house) == b"NotConnected: 127.0.0.1: it answered 4.01 Unauthorized"


async def test_a_device_that_resets_is_not_connected(house: House) -> None:
    house.acknowledge(await commanded(house), RST)
    assert await told(house) == b"NotConnected: 127.0.0.1: it reset the command"


async def test_an_answer_of_another_type_is_told(house: House) -> None:
    command = await commanded(house)
    reply(house, Message(CHANGED, command.token, [], b'{"celsius": "x"}', ACK, command.mid))
    assert (await told(house)).startswith(b"ValueError: the acknowledgement of 'heat' does not fit")


async def test_a_command_that_nobody_acknowledges_is_sent_again_and_times_out(house: House) -> None:
    command = await commanded(house)
    house.pass_time(100)
    again = [message for message in house.heard() if message.token == command.token]
    assert again == [command] * house.gateway.config.timing.max_retransmit
    assert b"CommandTimeout: 127.0.0.1 did not acknowledge the command 'heat'" in await told(house)


async def test_who_was_not_heard_for_a_while_is_not_connected(house: House) -> None:
    command = await commanded(house)
    reply(house, Message(CHANGED, command.token, [], WARM, ACK, command.mid))
    await told(house)
    house.pass_time(house.gateway.config.commanded_within + 1)
    house.ask(request(POST, "later"), FAR)
    assert await told(house) == b"127.0.0.1: nothing was heard from it for a while"
    assert house.gateway.stats()["commands_refused"] == 1


@pytest.mark.parametrize(
    ("address", "size", "why"),
    [
        (NEAR, 1025, b"a command by CoAP has 1024 bytes"),
        (FAR, 100, b"its address is not known to be"),
    ],
)
async def test_what_is_too_large_for_its_device_is_not_sent(
    house: House, address: Any, size: int, why: bytes
) -> None:
    house.ask(request(POST, f"ask/heat?size={size}"), address)
    assert why in await told(house)


async def test_a_command_to_a_device_with_keys_is_protected_and_so_is_its_answer(tmp_path: Path) -> None:
    async with coap_house(tmp_path, functions=APP, access=access_of(RULES)) as house:
        wire(house)
        meter = Meter(house)
        meter.ask(request(POST, "ask/heat"))
        echo = (await meter.answer()).get(opt.ECHO)
        assert echo is not None
        meter.ask(request(POST, "ask/heat", more=[(opt.ECHO, echo)]))
        await house.until(lambda: bool(house.sent))
        [sealed] = house.heard()
        header, asking = header_of(sealed)
        assert (header.kid, b"commands" in sealed.payload) == (b"", False)
        command = open_request(meter.context, sealed, asking)
        assert command.options == [(opt.URI_PATH, b"commands"), (opt.URI_PATH, b"heat")]
        answer = protect_response(meter.context, Message(CHANGED, sealed.token, [], WARM), asking)
        answer.type, answer.mid = ACK, sealed.mid
        reply(house, answer)
        assert (await meter.answer()).payload == b"it is 21.5"


async def test_a_plain_answer_to_a_protected_command_is_none(tmp_path: Path) -> None:
    async with coap_house(tmp_path, functions=APP, access=access_of(RULES)) as house:
        wire(house)
        meter = Meter(house)
        meter.ask(request(POST, "ask/heat"))
        echo = (await meter.answer()).get(opt.ECHO)
        assert echo is not None
        meter.ask(request(POST, "ask/heat", more=[(opt.ECHO, echo)]))
        await house.until(lambda: bool(house.sent))
        [sealed] = house.heard()
        reply(house, Message(CHANGED, sealed.token, [], WARM, ACK, sealed.mid))
        found = await meter.answer()
        assert (dotted(found.code), b"not protected" in found.payload) == ("2.04", True)
