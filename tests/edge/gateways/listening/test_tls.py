"""TLS before a gateway: who is shown which certificate, who may come in, and what a reload changes."""

import asyncio
import hashlib
import shutil
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from rimward.edge.gateways.listening.config import (
    AcceptConfig,
    CertificateFiles,
    ListenerConfig,
    ListenerError,
    TlsConfig,
)
from rimward.edge.gateways.listening.tls import Tls

from .conftest import replace
from .pki import Authority
from .support import PATIENCE, connected, ended, greeting, house, trusting

Wanted = Literal["none", "optional", "required"]


def tls_of(*files: CertificateFiles, protocol: str = "mqtt", **more: str) -> ListenerConfig:
    return ListenerConfig(protocol, tls=TlsConfig(files, **more))  # pyright: ignore[reportArgumentType] -- the tests' own words


def shown_to(writer: asyncio.StreamWriter) -> set[str]:
    certificate = writer.get_extra_info("peercert")
    return {name for _, name in certificate["subjectAltName"]}


async def test_each_name_is_shown_its_certificate_and_a_stranger_the_first(
    authority: Authority, node_files: CertificateFiles, other_files: CertificateFiles
) -> None:
    client = trusting(str(authority.file))
    anyone = trusting(str(authority.file))
    anyone.check_hostname = False
    async with house(mqtts=tls_of(node_files, other_files)) as here:
        port = here.ports["mqtts"]
        async with connected(port, client, "node.test") as (_, writer):
            assert shown_to(writer) == {"node.test", "localhost"}
        async with connected(port, client, "a.other.test") as (_, writer):
            assert shown_to(writer) == {"*.other.test"}
        async with connected(port, anyone, "nobody.knows.test") as line:
            assert shown_to(line[1]) == {"node.test", "localhost"}
            assert (await greeting(line)).secure
        assert here.count("mqtts.handshakes") >= 1


async def test_the_peer_of_a_tls_connection_is_secure_and_local_where_it_is(
    authority: Authority, node_files: CertificateFiles
) -> None:
    async with (
        house(mqtts=tls_of(node_files)) as here,
        connected(here.ports["mqtts"], trusting(str(authority.file)), "node.test") as line,
    ):
        peer = await greeting(line)
        assert (peer.address, peer.local, peer.secure, peer.listener) == ("127.0.0.1", True, True, "mqtts")
        assert peer.certificate is None
        line[1].write(b"x" * 100_000)
        assert await line[0].readexactly(100_000) == b"x" * 100_000


async def test_a_clients_certificate_is_part_of_its_peer(
    authority: Authority, node_files: CertificateFiles, truck_files: CertificateFiles
) -> None:
    listener = tls_of(node_files, client_ca=str(authority.file), client_certificates="required")
    async with (
        house(mqtts=listener) as here,
        connected(here.ports["mqtts"], trusting(str(authority.file), truck_files), "node.test") as line,
    ):
        certificate = (await greeting(line)).certificate
        assert certificate is not None
        der = ssl.PEM_cert_to_DER_cert(await asyncio.to_thread(Path(truck_files.certificate).read_text))
        assert (certificate.subject, certificate.names) == ("truck-7", ("urn:device:truck-7",))
        assert certificate.fingerprint == hashlib.sha256(der).hexdigest()
        assert int(certificate.serial, 16) > 0


async def test_without_a_certificate_nobody_comes_in_where_one_is_required(
    authority: Authority, node_files: CertificateFiles
) -> None:
    listener = tls_of(node_files, client_ca=str(authority.file), client_certificates="required")
    async with house(mqtts=listener) as here:
        async with connected(here.ports["mqtts"], trusting(str(authority.file)), "node.test") as line:
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                await line[0].read()
        await here.until("mqtts.handshake_peer_did_not_return_a_certificate")
        assert here.count("mqtts.handshakes_failed") == 1


async def test_where_it_is_optional_one_comes_in_without_and_none_with_a_wrong_one(
    authority: Authority, node_files: CertificateFiles, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", "Stranger").issue("spy", common="truck-7")
    listener = tls_of(node_files, client_ca=str(authority.file), client_certificates="optional")
    async with house(mqtts=listener) as here:
        port = here.ports["mqtts"]
        async with connected(port, trusting(str(authority.file)), "node.test") as line:
            peer = await greeting(line)
            assert (peer.secure, peer.certificate) == (True, None)
        async with connected(port, trusting(str(authority.file), stranger), "node.test") as line:
            assert await no_greeting(line[0])
        await here.until("mqtts.handshake_unable_to_get_local_issuer_certificate")


async def test_a_revoked_certificate_is_refused_once_the_list_says_so_and_a_ticket_does_not_help(
    authority: Authority, node_files: CertificateFiles, tmp_path: Path
) -> None:
    lost = authority.issue("lost", common="truck-lost")
    crl = authority.write_crl(tmp_path / "crl.pem")
    listener = tls_of(node_files, client_ca=str(authority.file), client_certificates="required", crl=crl)
    client = trusting(str(authority.file), lost)
    async with house(mqtts=listener) as here:
        async with connected(here.ports["mqtts"], client, "node.test") as line:
            assert (await greeting(line)).certificate is not None
            session = line[1].get_extra_info("ssl_object").session
            assert session.has_ticket
            await asyncio.to_thread(authority.revoke, lost)
            await asyncio.to_thread(authority.write_crl, tmp_path / "crl.pem")
            await here.listening.reload()
            line[1].write(b"still here\n")
            assert await line[0].readline() == b"still here\n"  # who is in stays in
        code = await asyncio.to_thread(resumes, here.ports["mqtts"], client, session)
        assert not code
        await here.until("mqtts.handshake_certificate_revoked")


def resumes(port: int, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    """Come back with a ticket; tell whether the gateway says anything."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="node.test", session=session) as secured,
    ):
        assert not secured.session_reused
        try:
            return secured.recv(1) != b""
        except ssl.SSLError:
            return False


async def no_greeting(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read() == b""
        except (ssl.SSLError, ConnectionError):
            return True


async def test_a_renewed_certificate_is_shown_to_newcomers_and_drops_nobody(
    authority: Authority, copied: CertificateFiles
) -> None:
    renewed = authority.issue("renewed", "node.test", days=60)
    client = trusting(str(authority.file))
    accept = AcceptConfig(files=0.02)
    async with house(accept, mqtts=tls_of(copied)) as here:
        port = here.ports["mqtts"]
        async with connected(port, client, "node.test") as line:
            await greeting(line)
            before = here.count("mqtts.certificate_expires")
            await asyncio.to_thread(replace, copied, renewed)
            await here.until("mqtts.reloads")
            async with asyncio.timeout(PATIENCE):  # the key may have come after the first look
                while here.count("mqtts.certificate_expires") == before:  # noqa: ASYNC110 -- figures tell nobody
                    await asyncio.sleep(0.005)
            assert here.count("mqtts.certificate_expires") > before + 29 * 86_400
            line[1].write(b"still here\n")
            assert await line[0].readline() == b"still here\n"
            async with connected(port, client, "node.test") as (_, writer):
                assert shown_to(writer) == {"node.test"}


async def test_a_file_that_can_not_be_used_leaves_in_use_what_was_and_somebody_hears_of_it(
    authority: Authority, copied: CertificateFiles
) -> None:
    client = trusting(str(authority.file))
    async with house(mqtts=tls_of(copied)) as here:
        assert here.listening.problem() is None
        await asyncio.to_thread(Path(copied.certificate).write_text, "nonsense")
        await here.listening.reload()
        assert here.count("mqtts.reloads_failed") == 1
        assert copied.certificate in (here.listening.problem() or "")
        async with connected(here.ports["mqtts"], client, "node.test") as line:
            assert (await greeting(line)).secure


async def test_a_certificate_that_ends_soon_is_told(node_files: CertificateFiles) -> None:
    days = 0.0
    async with house(wall=lambda: time.time_ns() + int(days * 86_400e9), mqtts=tls_of(node_files)) as here:
        days = 20.0
        assert here.listening.problem() is None
        days = 25.0
        assert "node.pem expires in 5.0 days" in (here.listening.problem() or "")
        days = 31.0
        assert "node.pem has expired" in (here.listening.problem() or "")


@pytest.mark.parametrize(("protocol", "alpn"), [("mqtt", "mqtt"), ("http", "http/1.1"), ("coap+tcp", "coap")])
async def test_a_protocol_has_its_name_in_alpn_and_a_stranger_to_it_comes_in_all_the_same(
    authority: Authority, node_files: CertificateFiles, protocol: str, alpn: str
) -> None:
    client = trusting(str(authority.file))
    async with house(tls=tls_of(node_files, protocol=protocol)) as here:
        for offered, chosen in ((["h2", alpn], alpn), (["h2"], None)):
            client.set_alpn_protocols(offered)
            async with connected(here.ports["tls"], client, "node.test") as (_, writer):
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen


async def test_what_is_not_tls_is_counted_by_its_reason_and_closed(node_files: CertificateFiles) -> None:
    async with house(https=tls_of(node_files, protocol="http")) as here:
        async with connected(here.ports["https"]) as line:
            line[1].write(b"GET / HTTP/1.1\r\n\r\n")
            await line[0].read()
        await here.until("https.handshake_http_request")
        async with connected(here.ports["https"]) as line:
            line[1].write(bytes([0x10, 12]) + b"\0\4MQTT\4\2\0\x3c\0\0")
            await line[0].read()
        await here.until("https.handshakes_failed", 2)


async def test_an_old_version_of_tls_is_refused(authority: Authority, node_files: CertificateFiles) -> None:
    client = trusting(str(authority.file))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    async with house(new=tls_of(node_files, minimum_version="1.3"), old=tls_of(node_files)) as here:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            async with connected(here.ports["new"], client, "node.test"):
                pass
        await here.until("new.handshake_unsupported_protocol")
        async with connected(here.ports["old"], client, "node.test") as line:
            assert (await greeting(line)).secure
            assert line[1].get_extra_info("cipher")[0].startswith("ECDHE-")


async def test_renegotiation_is_refused(authority: Authority, node_files: CertificateFiles) -> None:
    async with house(mqtts=tls_of(node_files)) as here:
        client = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"127.0.0.1:{here.ports['mqtts']}", "-tls1_2",
            "-CAfile", str(authority.file), "-servername", "node.test", "-verify_return_error",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            assert client.stdout is not None
            greeted = await client.stdout.readuntil(b"}\n")
            output, _ = await client.communicate(b"R\n")  # its word for: renegotiate
        assert b"Verify return code: 0 (ok)" in greeted
        assert b"no renegotiation" in output


async def test_a_silent_connection_is_sent_away(node_files: CertificateFiles) -> None:
    accept = AcceptConfig(first_byte_timeout=0.05)
    async with house(accept, mqtts=tls_of(node_files)) as here, connected(here.ports["mqtts"]) as line:
        assert await ended(line)
        assert here.count("mqtts.handshake_silent") == 1


async def test_a_handshake_that_stops_half_way_is_ended(node_files: CertificateFiles) -> None:
    accept = AcceptConfig(handshake_timeout=0.05)
    async with house(accept, mqtts=tls_of(node_files)) as here, connected(here.ports["mqtts"]) as line:
        line[1].write(b"\x16\x03\x01\x02\x00\x01")
        assert await ended(line)
        await here.until("mqtts.handshake_too_slow")


async def test_the_one_that_is_silent_longest_gives_way_to_a_new_one(
    authority: Authority, node_files: CertificateFiles
) -> None:
    accept = AcceptConfig(waiting=2)
    async with house(accept, mqtts=tls_of(node_files)) as here:
        port = here.ports["mqtts"]
        async with connected(port) as first, connected(port), connected(port):
            assert await ended(first)  # after its second of grace
            assert here.count("mqtts.accept_paused") >= 1
            assert here.count("mqtts.waiting_room_full") == 1
            async with connected(port, trusting(str(authority.file)), "node.test") as line:
                assert (await greeting(line)).secure


async def test_no_more_handshakes_are_in_flight_than_allowed_and_the_rest_wait_their_turn(
    authority: Authority, node_files: CertificateFiles
) -> None:
    accept = AcceptConfig(handshakes=1, waiting=2, handshake_timeout=PATIENCE)
    async with house(accept, mqtts=tls_of(node_files)) as here:
        port = here.ports["mqtts"]
        client = trusting(str(authority.file))
        async with connected(port) as slow:
            slow[1].write(b"\x16")
            await here.until("handshakes_in_flight")

            async def come() -> bool:
                async with connected(port, client, "node.test") as line:
                    return (await greeting(line)).secure

            async with asyncio.TaskGroup() as tasks:
                coming = [tasks.create_task(come()) for _ in range(6)]
                await here.until("mqtts.accept_paused")
                await here.until("handshakes_waiting", 2)
                assert here.count("handshakes_in_flight") == 1
                assert here.count("handshakes_waiting") == 2
                slow[1].transport.abort()
            assert all(task.result() for task in coming)
        assert here.count("mqtts.handshakes") == 6


async def test_a_flood_of_handshakes_does_not_stop_plain_devices(
    authority: Authority, node_files: CertificateFiles
) -> None:
    client, hellos = trusting(str(authority.file)), 100
    async with house(
        AcceptConfig(handshakes=hellos), mqtts=tls_of(node_files), mqtt=ListenerConfig("mqtt")
    ) as here:
        crowd = [socket.create_connection(("127.0.0.1", here.ports["mqtts"])) for _ in range(hellos)]
        for sock in crowd:
            outgoing = ssl.MemoryBIO()
            with suppress(ssl.SSLWantReadError):
                client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="node.test").do_handshake()
            sock.sendall(outgoing.read())
        async with connected(here.ports["mqtt"]) as line:
            assert (await greeting(line)).listener == "mqtt"
            for _ in range(5):
                line[1].write(b"on time\n")
                assert await line[0].readline() == b"on time\n"
            assert here.count("handshakes_in_flight") < hellos // 2  # all of them want their turn
        async with asyncio.timeout(PATIENCE):
            while here.count("handshakes_in_flight") < hellos:  # noqa: ASYNC110 -- figures tell nobody
                await asyncio.sleep(0.005)
        for sock in crowd:
            sock.close()
        await here.until("mqtts.handshake_hung_up", hellos)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"client_ca": "empty.pem", "client_certificates": "required"}, "tls.client_ca"),
        ({"crl": "ca.pem", "client_ca": "ca.pem", "client_certificates": "required"}, "tls.crl"),
    ],
)
def test_a_file_without_what_it_is_for_is_named(
    authority: Authority, node_files: CertificateFiles, tmp_path: Path, more: dict[str, str], message: str
) -> None:
    shutil.copy(authority.file, tmp_path / "ca.pem")
    (tmp_path / "empty.pem").touch()
    here = {key: str(tmp_path / value) if value.endswith(".pem") else value for key, value in more.items()}
    listener = tls_of(node_files, **here)
    assert listener.tls is not None
    with pytest.raises(ListenerError, match=message):
        Tls("mqtts", "mqtt", listener.tls).load()


def test_a_key_of_another_certificate_or_none_is_named(
    node_files: CertificateFiles, other_files: CertificateFiles
) -> None:
    for key, why in ((other_files.key, "key values mismatch"), ("/nowhere.key", "No such file")):
        config = TlsConfig((CertificateFiles(node_files.certificate, key),))
        with pytest.raises(ListenerError, match=why) as error:
            Tls("mqtts", "mqtt", config).load()
        assert "listener mqtts: tls.certificates" in str(error.value)
