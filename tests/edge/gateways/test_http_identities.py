"""Sockets and streams belong to who opened them: they end when that identity, or its right, does."""

from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rimward.edge.access.book import digest_of

from .test_websocket import client
from .web_house import open_web

FUNCTIONS = """
@app.edge(ws("/who"))
def who(data: bytes, device: Device) -> str:
    return f"{device.id} by {device.protocol}"


@app.edge(http.get("/live"))
async def live(device: Device) -> AsyncIterator[str]:
    yield device.id
    await asyncio.Event().wait()
"""
TOKEN = "rim_" + "t" * 40
BEARER = f"Bearer {TOKEN}"
DEVICE = f"""
[[device]]
id = "truck-1"
token = "{digest_of(TOKEN)}"

[[device]]
id = "truck-2"
token = "{digest_of("rim_" + "u" * 40)}"
"""
MAY = (
    DEVICE
    + """
[[rule]]
devices = ["truck-1"]
request = ["GET /#", "POST /#"]
"""
)


MAY_NOT = MAY.replace('["GET /#", "POST /#"]', '["GET /nowhere"]')


@pytest.mark.parametrize("later", [MAY_NOT, MAY.replace("truck-1", "truck-3")], ids=["right", "identity"])
async def test_a_socket_and_a_stream_end_with_the_right_to_them(tmp_path: Path, later: str) -> None:
    async with open_web(tmp_path, FUNCTIONS, MAY) as web:
        with pytest.raises(InvalidStatus) as refused:
            async with client(web, "/who"):
                pass
        assert refused.value.response.status_code == 401
        reader, writer = await web.open()
        writer.write(f"GET /live HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BEARER}\r\n\r\n".encode())
        await reader.readuntil(b"data: truck-1\n\n\r\n")
        async with client(web, "/who", additional_headers={"Authorization": BEARER}) as socket:
            await socket.send(b"")
            assert await socket.recv() == "truck-1 by ws"
            (tmp_path / "access.toml").write_text(MAY + "# the same\n")
            await web.node.reload()
            await web.until(lambda: web.node.access.stats().get("reloads", 0) == 1)
            await socket.send(b"")
            assert await socket.recv() == "truck-1 by ws"
            (tmp_path / "access.toml").write_text(later)
            await web.node.reload()
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
        writer.close()
        assert web.node.http.stats()["identities_ended"] == 2
