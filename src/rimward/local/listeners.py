"""Where a run of `rimward dev` or `rimward node` listens.

`mqtt` and `http` are plain and on loopback, where the machine's own tools find them. Other machines get in
through `--host`: with a certificate by TLS alone, on the ports that devices expect it on (docs/adr/0046).
"""

from collections.abc import Mapping

from rimward.app.manifest import Manifest
from rimward.edge.gateways.listening.config import (
    CertificateFiles,
    ListenerConfig,
    TlsConfig,
    address_of,
)
from rimward.local.options import RunOptions
from rimward_supervisor.listeners import UDP

COAP_TCP = "coap-tcp"  # on the port of `coap`
HOST = "127.0.0.1"
WILD = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- only where it was asked for


def takes_coap(manifest: Manifest) -> bool:
    """Tell whether a function of the app waits for CoAP."""
    return any(one.protocol == "coap" for one in manifest.functions)


def listeners_of(options: RunOptions, *, coap: bool) -> dict[str, ListenerConfig]:
    """Return the listeners by name."""
    host, plain = options.host, {"mqtt": options.mqtt, "http": options.http}
    far: dict[str, ListenerConfig] = {}
    near = HOST
    if options.tls_cert is not None and options.tls_key is not None:
        files = CertificateFiles(str(options.tls_cert.absolute()), str(options.tls_key.absolute()))
        tls = TlsConfig((files,))
        far["mqtts"] = ListenerConfig("mqtt", written(host, options.mqtts), tls=tls)
        far["https"] = ListenerConfig("http", written(host, options.https), tls=tls)
    elif host in WILD:
        near = host  # loopback is part of it
    elif host != HOST:
        far = {f"{name}-network": ListenerConfig(name, written(host, port)) for name, port in plain.items()}
    if coap:
        far["coap"] = ListenerConfig("coap", written(host, options.coap))
        far[COAP_TCP] = ListenerConfig("coap+tcp", written(HOST if "mqtts" in far else host, options.coap))
    return {name: ListenerConfig(name, written(near, port)) for name, port in plain.items()} | far


def spec_of(name: str, listener: ListenerConfig, port: int | None) -> object:
    """Return a listener as the supervisor's spec writes it; `port` is the one that it had before."""
    address = address_of(name, listener)
    pair = [address.host, address.port if port is None else port]
    if name == COAP_TCP:
        return {"tcp": pair, "beside": "coap"}
    return {"udp": pair} if address.kind == UDP else pair


def written(host: str, port: int) -> str:
    """Return an address as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def further(listeners: Mapping[str, ListenerConfig], ports: Mapping[str, int]) -> dict[str, str]:
    """Return the addresses of the listeners beside mqtt and http; CoAP has one for UDP and TCP."""
    return {
        name: written(address_of(name, listener).host, ports[name])
        for name, listener in listeners.items()
        if name not in {"mqtt", "http", COAP_TCP}
    }
