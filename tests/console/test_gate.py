import pytest

from .conftest import TOKEN, Client

PATHS = ["/", "/events", "/healthz", "/static/now.js"]


@pytest.mark.parametrize("path", ["/", "/events", "/healthz"])
async def test_loopback_alone_opens_nothing(client: Client, path: str) -> None:
    answer = await client.ask(path)
    assert answer.status == 401
    assert "rimward dev printed" in answer.body


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_host_name_is_refused_even_with_the_cookie(client: Client, path: str) -> None:
    cookie = await client.sign_in()
    assert (await client.ask(path, cookie, host=f"evil.example:{client.port}")).status == 403
    assert (await client.ask(path, cookie, host="127.0.0.1")).status == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
async def test_a_foreign_origin_is_refused_even_with_the_cookie(
    client: Client, path: str, origin: str
) -> None:
    cookie = await client.sign_in()
    assert (await client.ask(path, cookie, f"Origin: {origin}")).status == 403


async def test_a_request_that_another_site_caused_is_refused(client: Client) -> None:
    cookie = await client.sign_in()
    assert (await client.ask("/events", cookie, "Sec-Fetch-Site: cross-site")).status == 403
    assert (await client.ask("/events", cookie, "Sec-Fetch-Site: same-site")).status == 403


async def test_our_own_origin_passes(client: Client) -> None:
    cookie = await client.sign_in()
    answer = await client.ask(
        "/healthz", cookie, f"Origin: http://{client.host}", "Sec-Fetch-Site: same-origin"
    )
    assert answer.status == 200


async def test_the_link_sets_a_cookie_that_scripts_and_other_sites_never_see(client: Client) -> None:
    answer = await client.ask(f"/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    name, _, attributes = answer.headers["set-cookie"].partition("=")
    assert str(client.port) in name
    assert TOKEN not in attributes
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes.split("; "))


async def test_a_link_works_once_and_the_next_one_is_announced_in_the_terminal(client: Client) -> None:
    await client.sign_in()
    again = await client.ask(f"/?token={TOKEN}")
    assert again.status == 401
    assert "set-cookie" not in again.headers
    (link,) = client.links
    assert link.startswith(f"http://{client.host}/?token=")
    target = link.removeprefix(f"http://{client.host}")
    assert (await client.ask(target)).status == 303


async def test_a_used_link_still_opens_the_page_for_the_browser_that_used_it(client: Client) -> None:
    cookie = await client.sign_in()
    assert (await client.ask(f"/?token={TOKEN}", cookie)).status == 303
    assert client.links == []


async def test_opening_a_used_link_many_times_announces_one_new_link(client: Client) -> None:
    await client.sign_in()
    for _ in range(3):
        await client.ask(f"/?token={TOKEN}")
    assert len(client.links) == 1


async def test_a_guessed_token_is_refused_and_announces_nothing(client: Client) -> None:
    answer = await client.ask("/?token=guessed")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert client.links == []


@pytest.mark.parametrize("cookie", ["rimward_{port}=guessed", "rimward_{port}=", "other=1", "=;=;\x7f"])
async def test_a_wrong_cookie_is_refused(client: Client, cookie: str) -> None:
    assert (await client.ask("/", "Cookie: " + cookie.format(port=client.port))).status in (400, 401)


async def test_cookies_that_other_servers_of_this_host_have_set_do_no_harm(client: Client) -> None:
    cookie = (await client.sign_in()).removeprefix("Cookie: ")
    for other in ('a={"x":1}', "a b=c", "=", "a=(,)", f"{cookie.partition('=')[0]}=guessed"):
        assert (await client.ask("/healthz", f"Cookie: {other}; {cookie}; {other}")).status == 200, other


async def test_a_second_host_is_refused(client: Client) -> None:
    cookie = await client.sign_in()
    assert (await client.ask("/", cookie, "Host: evil.example")).status == 403


async def test_programs_may_use_the_token_as_a_bearer(client: Client) -> None:
    assert (await client.ask("/healthz", f"Authorization: Bearer {TOKEN}")).status == 200
    assert (await client.ask("/healthz", "Authorization: Bearer wrong")).status == 401
    assert (await client.ask("/healthz", f"Authorization: Basic {TOKEN}")).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_written(client: Client, method: str) -> None:
    cookie = await client.sign_in()
    assert (await client.ask("/", cookie, "Content-Length: 0", method=method)).status == 405


@pytest.mark.parametrize("signed_in", [True, False])
async def test_every_answer_carries_the_security_headers(client: Client, signed_in: bool) -> None:  # noqa: FBT001  a parameter
    headers = [await client.sign_in()] if signed_in else []
    for path in ("/", "/static/now.css", "/nowhere"):
        answer = await client.ask(path, *headers)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
        )
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
