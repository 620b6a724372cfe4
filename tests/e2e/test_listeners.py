"""`rimward dev` with a certificate: other machines get in by TLS alone, also after the node was killed."""

import json
import ssl
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from running import PATIENCE, Dev, until
from tests.edge.gateways.listening.pki import Authority

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

APP = """\
from rimward import App, http
app = App("door", compat="2026-11-01")
@app.edge(http.get("/say/{name}"))
def say(name: str) -> str:
    return f"hello {name}"
"""


def test_a_node_that_was_killed_serves_tls_on_the_same_port(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    files = authority.issue("node", "localhost")
    app = tmp_path / "app.py"
    app.write_text(APP)
    context = ssl.create_default_context(cafile=str(authority.file))
    flags = ("--host", "0.0.0.0", "--anonymous", "--mqtts", "0", "--https", "0")
    tls = ("--tls-cert", files.certificate, "--tls-key", files.key)
    with Dev(app, tmp_path / "data", *flags, *tls) as dev:
        assert dev.ready["coap"] is None
        hosts = {name: address.rpartition(":")[0] for name, address in dev.ready["more"].items()}
        assert hosts == {"mqtts": "0.0.0.0", "https": "0.0.0.0"}
        port = int(dev.ready["more"]["https"].rpartition(":")[2])
        assert ask(port, context) == (200, "hello you")
        dev.kill("node")
        assert ask(port, context) == (200, "hello you")
        until(lambda: "listening" in gateways(dev), "the node tells its figures")
        assert gateways(dev)["listening"]["https.certificate_expires"] > 0


def gateways(dev: Dev) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads(dev.run("status", "--json").stdout)["gateways"]
    return found


def ask(port: int, context: ssl.SSLContext) -> tuple[int, str]:
    connection = HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)
    connection.request("GET", "/say/you")
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said
