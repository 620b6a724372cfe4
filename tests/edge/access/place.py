"""A real node with the matrix's app and access file, listening with and without TLS."""

import socket
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from tests.edge.gateways.listening.pki import Authority

from rimward.app.loading import load
from rimward.edge.access.book import digest_of
from rimward.edge.config import NodeConfig
from rimward.edge.gateways.listening.config import ListenerConfig, TlsConfig
from rimward.edge.node import Node
from rimward.protocols.coap.oscore import Keys

from .access_support import cheap
from .matrix import ACCESS, APP, TOKEN_RULES, Who
from .visitors import Place, Shown

SECRET = "s" * 40
TOKEN = "rim_" + "t" * 40
OSCORE = Keys(b"\x01", b"", bytes(range(16)))  # as the device has them
PROTOCOLS = {"mqtt": "mqtt", "http": "http", "mqtts": "mqtt", "https": "http", "coap": "coap"}


def _token(**claims: Any) -> str:
    every = {"iss": "https://id.example", "aud": "site", "exp": time.time() + 600, **claims}
    return jwt.encode(every, SECRET, "HS256")  # pyright: ignore[reportUnknownMemberType] -- its keys are partly unknown


class _Papers:
    """What everybody has to show."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.certificate = authority.issue("truck", common="truck-1")
        self.authority = authority
        self._jwts = {"jwt": _token(sub="truck-1"), "rules": _token(sub="gate", acl=TOKEN_RULES)}

    def of(self, who: Who) -> Shown:
        match who.by:
            case "nothing":
                return Shown()
            case "token":
                return Shown(who.id, bearer=TOKEN)
            case "jwt" | "rules":
                return Shown(who.id, bearer=self._jwts[who.by])
            case "oscore":
                return Shown(oscore=OSCORE)
            case "certificate":
                context = ssl.create_default_context(cafile=self.authority.file)
                context.load_cert_chain(self.certificate.certificate, self.certificate.key)
                return Shown(tls=context)
            case _:
                return Shown(who.id, "wrong" if who.by == "wrong" else "secret")


class _Places(dict[str, int]):
    """Ports by protocol, and how many dead letters there are."""

    def __init__(self, ports: dict[str, int], node: Node) -> None:
        super().__init__(ports)
        self._node = node

    def __missing__(self, name: str) -> int:
        assert name == "dead"
        return int(self._node.outbox.stats()["dead_letters"])


def write_files(folder: Path) -> NodeConfig:
    """Write the app and the access file."""
    app, access = folder / "app.py", folder / "access.toml"
    app.write_text(APP)
    (folder / "secret").write_text(SECRET)
    access.write_text(ACCESS.format(hash=cheap("secret"), token=digest_of(TOKEN), oscore=OSCORE.secret.hex()))
    return NodeConfig(app=str(app), data=str(folder / "data"), access=str(access))


@asynccontextmanager
async def living_place(folder: Path) -> AsyncGenerator[Place]:
    """Serve while the test runs."""
    config = write_files(folder)
    authority = Authority(folder / "ca")
    served = authority.issue("node", "localhost")
    papers = _Papers(authority, folder)
    tls = TlsConfig((served,), str(authority.file), "optional")
    listeners = {
        name: ListenerConfig(protocol, tls=tls if name.endswith("s") else None)
        for name, protocol in PROTOCOLS.items()
    }
    config = NodeConfig(app=config.app, data=config.data, access=config.access, listeners=listeners)
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in PROTOCOLS if name != "coap"}
    sockets["coap"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sockets["coap"].bind(("127.0.0.1", 0))
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    async with Node(load(config.app), config) as node:
        await node.listen(sockets)

        def say(topic: str, payload: bytes, retain: bool) -> None:  # noqa: FBT001 (as the place has it)
            node.mqtt.publish(topic, payload, 0, retain=retain)

        yield Place(_Places(ports, node), papers.of, say)
