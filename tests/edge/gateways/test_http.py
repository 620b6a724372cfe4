"""What the HTTP gateway says to callers: replies, refusals, and who may call."""

from collections.abc import AsyncIterator

import pytest

from .http_house import HOST, House, open_house, parse, problem


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as house:
        yield house


async def test_a_request_reaches_the_door_and_its_reply_the_caller(house: House) -> None:
    fields = f"{HOST}Content-Length: 2\r\nTraceparent: 00-x\r\nConnection: close\r\n"
    data = f"POST /echo?a=b HTTP/1.1\r\n{fields}\r\nhi"
    status, headers, body = parse(await house.exchange(data))
    assert (status, headers, body) == (
        200,
        {"content-length": "16", "connection": "close"},
        b"POST /echo a=bhi",
    )
    [request] = house.porch.requests
    assert request.headers["traceparent"] == "00-x"
    assert (request.sender.id, request.sender.protocol) == ("127.0.0.1", "http")
    assert request.read_at == house.clock.now


async def test_an_empty_success_has_no_body(house: House) -> None:
    assert parse(await house.get("/empty")) == (204, {"connection": "close"}, b"")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("payload", 422),
        ("invalid", 400),
        ("denied", 403),
        ("not-found", 404),
        ("conflict", 409),
        ("busy", 503),
        ("full", 503),
        ("failed", 500),
    ],
)
async def test_a_refusal_is_told_in_http_words(house: House, kind: str, status: int) -> None:
    answer = await house.get(f"/refuse/{kind}")
    document = problem(answer)
    assert (document["status"], document["detail"], document["code"]) == (status, "because", kind)
    assert parse(answer)[1].get("retry-after") == ("1" if status == 503 else None)


async def test_a_method_that_is_not_served_is_told_which_are(house: House) -> None:
    answer = await house.get("/405")
    assert problem(answer)["status"] == 405
    assert parse(answer)[1]["allow"] == "GET, HEAD"


async def test_a_status_that_http_does_not_have_is_a_failure(house: House) -> None:
    assert problem(await house.get("/odd"))["status"] == 500


async def test_a_broken_door_is_a_500_and_nothing_else_notices(house: House) -> None:
    assert problem(await house.get("/broken"))["status"] == 500
    assert parse(await house.get("/echo"))[0] == 200


async def test_a_device_string_can_not_add_a_header(house: House) -> None:
    _, headers, _ = parse(await house.get("/headers"))
    assert headers["x-device"] == "a  set-cookie: b"
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("node.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("10.0.0.1", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("[::2]", 421),
    ],
)
async def test_a_foreign_host_is_refused(house: House, host: str, status: int) -> None:
    assert parse(await house.get("/echo", f"Host: {host}"))[0] == status
    assert len(house.porch.requests) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example", 200),
        ("http://localhost:8080", 200),  # the page came from this very node
        ("http://localhost", 403),
        ("https://localhost:8080", 403),
        ("http://app.example", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_a_page_of_another_origin_is_refused_and_gets_no_cors_header(
    house: House, origin: str, status: int
) -> None:
    answer = await house.get("/echo", "Host: localhost:8080", f"Origin: {origin}")
    assert parse(answer)[0] == status
    assert (b"access-control" in answer.lower()) == (origin == "https://app.example")
    assert len(house.porch.requests) == (1 if status == 200 else 0)


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("none", 200)])
async def test_an_image_in_a_foreign_page_can_not_call(house: House, site: str, status: int) -> None:
    assert parse(await house.get("/echo", "Host: localhost", f"Sec-Fetch-Site: {site}"))[0] == status


async def test_an_absolute_target_can_not_hide_a_foreign_host(house: House) -> None:
    assert parse(await house.get("http://evil.example/echo"))[0] == 421
