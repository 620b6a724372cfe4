"""`rimward send mqtt TOPIC PAYLOAD`, `http|coap METHOD PATH [PAYLOAD]` or `ws PATH PAYLOAD`: one message."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimward.cli.data import folder_of, running
from rimward.cli.output import json_line
from rimward.cli.parsing import CommandError, Parser, UsageError, count, duration, port
from rimward.local.text import printable

if TYPE_CHECKING:
    from rimward.local.sending import Sent
    from rimward.protocols.coap import Message

LOOPBACK = "127.0.0.1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
EXAMPLES = """\
examples:
  rimward send mqtt trucks/7/temperature '{"celsius": 9.5}'
  rimward send http GET /trucks/7
  rimward send coap GET /meters/7
  rimward send ws /houses/7 '{"celsius": 21}'

rimward send mqtt --help, and the same of http, coap and ws, explain each.
"""
EXAMPLES_MQTT = """\
examples:
  rimward send mqtt trucks/7/temperature '{"celsius": 9.5}'
  rimward send mqtt trucks/7/temperature '{"celsius": 9.5}' --wait trucks/7/chiller
  rimward send mqtt trucks/7/photo @photo.jpg --qos 0 --count 10

PAYLOAD is sent as it is; @FILE sends a file, - what comes in. The answer is the PUBACK, when what the message
caused is on disk. --wait subscribes first, and shows the first message that comes there. Exit codes: 0 taken,
1 refused or no answer.
"""
EXAMPLES_HTTP = """\
examples:
  rimward send http GET /trucks/7
  rimward send http POST /doors/3 '{"open": true}'
  rimward send http PUT /doors/3/photo @photo.jpg --header 'content-type: image/jpeg'

PAYLOAD is sent as it is, as application/json where it is JSON; @FILE sends a file, - what comes in. Exit
codes: 0 for a status below 400, else 1.
"""
EXAMPLES_WS = """\
examples:
  rimward send ws /houses/7 '{"celsius": 21}'
  rimward send ws /houses/7 @wish.msgpack --subprotocol msgpack
  rimward send ws /houses/7 - --timeout 1

PAYLOAD is sent as it is, as text where it is UTF-8; @FILE sends a file, - what comes in. The first message
that comes back is shown; a function that returns nothing sends none. Exit codes: 0, and 1 for a refusal.
"""

EXAMPLES_COAP = """\
examples:
  rimward send coap GET /meters/7
  rimward send coap POST /meters/7 '{"kwh": 2.5}'
  rimward send coap GET /meters/7 --observe 60
  rimward send coap GET /.well-known/core

PAYLOAD is sent as it is, as JSON where it is JSON; @FILE sends a file, - what comes in. --observe shows what
changes for so many seconds. Exit codes: 0 for a code below 4.00, else 1.
"""
COAP_METHODS = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "FETCH": 5, "PATCH": 6, "IPATCH": 7}
FORMATS = ("text", "octets", "json", "cbor")


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    kinds = parser.add_subparsers(dest="kind", metavar="mqtt|http|coap|ws", required=True)
    mqtt = kinds.add_parser("mqtt", description="publish one message", epilog=EXAMPLES_MQTT)
    mqtt.add_argument("topic", metavar="TOPIC", help="without wildcards")
    mqtt.add_argument("payload", metavar="PAYLOAD", help="text, @FILE or -")
    mqtt.add_argument("--qos", type=int, choices=(0, 1), default=1, help="0 has no answer (default: 1)")
    mqtt.add_argument("--retain", action="store_true", help="keep it for later subscribers")
    mqtt.add_argument("--count", type=count, metavar="N", default=1, help="send it N times (default: 1)")
    mqtt.add_argument("--wait", metavar="TOPIC", help="show the first message that comes there")
    http = kinds.add_parser("http", description="send one request", epilog=EXAMPLES_HTTP)
    http.add_argument("method", metavar="METHOD", help="GET, POST, …")
    http.add_argument("path", metavar="PATH", help="with its slash and query")
    http.add_argument("payload", metavar="PAYLOAD", nargs="?", help="text, @FILE or -")
    http.add_argument(
        "--header", metavar="LINE", action="append", default=[], help="such as 'accept: text/plain'"
    )
    coap = kinds.add_parser("coap", description="send one request over UDP", epilog=EXAMPLES_COAP)
    coap.add_argument("method", metavar="METHOD", help=", ".join(COAP_METHODS))
    coap.add_argument("path", metavar="PATH", help="with its query")
    coap.add_argument("payload", metavar="PAYLOAD", nargs="?", help="text, @FILE or -")
    coap.add_argument("--format", choices=FORMATS, help="of the payload (default: json where it is JSON)")
    coap.add_argument("--accept", choices=FORMATS, help="of the response")
    coap.add_argument("--observe", type=duration, metavar="SECONDS", default=0.0, help="show what changes")
    ws = kinds.add_parser("ws", description="send one message on a WebSocket", epilog=EXAMPLES_WS)
    ws.add_argument("path", metavar="PATH", help="with its slash and query")
    ws.add_argument("payload", metavar="PAYLOAD", help="text, @FILE or -")
    ws.add_argument("--subprotocol", metavar="NAME", help="json, msgpack, cbor or cloudevents.json")
    for one in (mqtt, http, coap, ws):
        one.add_argument("--host", help=f"(default: {LOOPBACK})")
        one.add_argument("--port", type=port, metavar="PORT", help="(default: that of the running dev)")
        text = "that any answer may take (default: 5)"
        one.add_argument("--timeout", type=duration, metavar="SECONDS", default=5.0, help=text)
        one.add_data()


def run(options: argparse.Namespace) -> int:
    """Send, and print what comes back."""
    if options.port is None:
        options.port = _port(options)
    options.host = options.host or LOOPBACK
    return {"mqtt": _mqtt, "http": _http, "coap": _coap, "ws": _ws}[options.kind](options)


def _port(options: argparse.Namespace) -> int:
    if options.host is not None:
        raise UsageError(f"--host {options.host} needs its --port")
    kind = "http" if options.kind == "ws" else options.kind
    found = running(folder_of(options.data))["ready"][kind]
    if found is None:
        raise CommandError(
            f"the app that runs has no {options.kind} function: add one, or name --host and --port"
        )
    return int(found)


def _mqtt(options: argparse.Namespace) -> int:
    import asyncio

    from rimward.local.sending import Message, publish

    message = Message(options.topic, _payload(options.payload), options.qos, retain=options.retain)
    sent = asyncio.run(
        publish(
            (options.host, options.port),
            message,
            count=options.count,
            wait=options.wait,
            timeout=options.timeout,
        )
    )
    if options.json:
        _write(options, sent)
    else:
        _show(options, sent)
    refused = any(one.code >= 0x80 for one in sent.answers)
    return 1 if refused or (options.wait is not None and sent.came is None) else 0


def _write(options: argparse.Namespace, sent: "Sent") -> None:
    for one in sent.answers:
        json_line(
            {"topic": options.topic, "qos": options.qos, "code": one.code, "reason": one.reason, "ms": one.ms}
        )
    if options.wait is not None:
        came = sent.came
        received = came and {"topic": came.topic, "payload": _body(came.payload), "ms": came.ms}
        json_line({"received": received})


def _show(options: argparse.Namespace, sent: "Sent") -> None:
    for answer in sent.answers if len(sent.answers) <= 3 else sent.answers[-1:]:
        if options.qos == 0:
            print("sent; QoS 0 has no acknowledgement")
        else:
            word = "refused" if answer.code >= 0x80 else "acknowledged"
            print(f"{word}: PUBACK 0x{answer.code:02x} {printable(answer.reason)} ({answer.ms:.3g} ms)")
    if len(sent.answers) > 3:
        refused = sum(answer.code >= 0x80 for answer in sent.answers)
        print(f"{len(sent.answers)} sent, {refused} refused")
    if (came := sent.came) is not None:
        print(f"{printable(came.topic)} {_text(came.payload)} ({came.ms:.3g} ms)")
    elif options.wait is not None:
        raise CommandError(
            f"nothing came on {options.wait} within {options.timeout:g} s: rimward trace last shows what ran"
        )


def _http(options: argparse.Namespace) -> int:
    from rimward.local.sending import Request, ask

    method = options.method.upper()
    if method not in METHODS:
        raise UsageError(f"METHOD is {options.method!r}, it must be one of {', '.join(METHODS)}")
    if not options.path.startswith("/"):
        raise UsageError(f"PATH is {options.path!r}, it must start with a slash: '/{options.path}'")
    payload = None if options.payload is None else _payload(options.payload)
    request = Request(method, options.path, payload, dict(map(_header, options.header)))
    answer = ask((options.host, options.port), request, options.timeout)
    body = _body(answer.body)
    if options.json:
        json_line({"status": answer.status, "reason": answer.reason, "headers": answer.headers, "body": body,
                   "ms": answer.ms})  # fmt: skip
    else:
        print(f"HTTP {answer.status} {printable(answer.reason)} ({answer.ms:.3g} ms)")
        if answer.body:
            print(_text(answer.body))
    return 0 if answer.status < 400 else 1


def _coap(options: argparse.Namespace) -> int:
    from rimward.local.asking import ask

    good = True
    for answer in ask((options.host, options.port), _coap_request(options), options.timeout,
                      observe=options.observe):  # fmt: skip
        good = good and answer.code < "4"
        if options.json:
            json_line({"code": answer.code, "name": answer.name, "format": answer.format,
                       "body": _body(answer.body), "ms": answer.ms})  # fmt: skip
            continue
        print(f"CoAP {answer.code} {answer.name} ({answer.ms:.3g} ms)", flush=True)
        if answer.body:
            print(_text(answer.body), flush=True)
    return 0 if good else 1


def _coap_request(options: argparse.Namespace) -> "Message":
    """Return what the command line asks for."""
    from rimward.local.asking import FORMATS as NUMBERS
    from rimward.protocols.coap import request
    from rimward.protocols.coap.options import OBSERVE

    method = COAP_METHODS.get(options.method.upper())
    if method is None:
        raise UsageError(f"METHOD is {options.method!r}, it must be one of {', '.join(COAP_METHODS)}")
    payload = b"" if options.payload is None else _payload(options.payload)
    name = options.format or ("json" if payload and not isinstance(_body(payload), str | bytes) else None)
    return request(
        method, options.path, payload,
        content_format=None if name is None else NUMBERS[name],
        accept=None if options.accept is None else NUMBERS[options.accept],
        more=[(OBSERVE, b"")] if options.observe else None,
    )  # fmt: skip


def _ws(options: argparse.Namespace) -> int:
    from rimward.local.sending import talk

    if not options.path.startswith("/"):
        raise UsageError(f"PATH is {options.path!r}, it must start with a slash: '/{options.path}'")
    address = (options.host, options.port)
    heard = talk(address, options.path, _payload(options.payload), options.subprotocol, options.timeout)
    body = None if heard.body is None else _body(heard.body)
    if options.json:
        json_line({"path": options.path, "received": body, "ms": heard.ms})
    elif heard.body is None:
        print(f"sent; nothing came back within {options.timeout:g} s")
    else:
        print(f"{_text(heard.body)} ({heard.ms:.3g} ms)")
    return 1 if heard.text and _is_problem(body) else 0


def _is_problem(body: Any) -> bool:
    return isinstance(body, dict) and all(name in body for name in ("type", "status", "code"))


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not line.isprintable():
        raise UsageError(f"--header is {line!r}, it must be such as 'accept: text/plain'")
    return name.strip().lower(), value.strip()


def _payload(word: str) -> bytes:
    if word == "-":
        return sys.stdin.buffer.read()
    if not word.startswith("@"):
        return word.encode("utf-8", "surrogateescape")
    try:
        return Path(word[1:]).read_bytes()
    except OSError as error:
        raise CommandError(
            f"{word[1:]} can't be read ({error.strerror or error}): name a file after the @"
        ) from None


def _body(data: bytes) -> Any:
    """Return bytes as JSON, text or base64, whichever they are."""
    import msgspec

    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data  # JSON's base64


def _text(data: bytes) -> str:
    try:
        return printable(data.decode())
    except UnicodeDecodeError:
        return f"{len(data)} bytes: {data[:32].hex()}{'…' if len(data) > 32 else ''}"
