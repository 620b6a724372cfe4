"""Rimward's pytest plugin: async tests run as they are, `site` is a fixture, failures tell of their Sites.

A package of its own, so that a pytest run imports nothing of Rimward before a test does (docs/adr/0029).
"""

import asyncio
import inspect
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rimward import App
    from rimward.testing import Site

OTHERS = ("trio", "twisted")  # marks of tests that are not for asyncio


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting `rimward_app`."""
    parser.addini("rimward_app", 'the app of the fixture "site", as module:name')


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run an async test that no other plugin has taken; None leaves it to pytest."""
    test: Any = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test) or any(map(pyfuncitem.get_closest_marker, OTHERS)):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """Tell under a failed test what went wrong inside the Sites that its fixtures hold open."""
    sites = sys.modules.get("rimward.testing.site")
    if call.when == "call" and call.excinfo is not None and sites is not None:
        for site in sites.LIVE:
            site.tell(call.excinfo.value)


@pytest.fixture
def rimward_app(request: pytest.FixtureRequest) -> "App":
    """The app of the fixture `site`: the setting's, unless a project's own fixture returns another."""
    name = str(request.config.getini("rimward_app"))
    if not name:
        pytest.fail(
            "the fixture 'site' does not know the app: write rimward_app = \"app:app\" in "
            "[tool.pytest.ini_options], or a fixture rimward_app that returns it",
            pytrace=False,
        )
    from rimward.app.loading import load

    return load(name)


@pytest.fixture
def site(rimward_app: "App") -> "Iterator[Site]":
    """An open Site of the project's app."""
    from rimward.testing import Site

    opened = Site(rimward_app)
    opened.open()
    yield opened
    opened.close()
