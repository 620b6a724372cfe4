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


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark `site`."""
    config.addinivalue_line(
        "markers",
        'site(app, **arguments): the app of the fixture "site", an App or "module:name", and what its Site '
        "gets, such as seed=7",
    )


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
    """The app of the fixture `site`: the mark's, else the setting's; a project's own fixture says another."""
    mark = request.node.get_closest_marker("site")
    found = mark.args[0] if mark is not None and mark.args else request.config.getini("rimward_app")
    if not found:
        pytest.fail(
            "the fixture 'site' does not know the app: write rimward_app = \"app:app\" in "
            "[tool.pytest.ini_options], the mark @pytest.mark.site(app) on the test, or a fixture "
            "rimward_app that returns it",
            pytrace=False,
        )
    from rimward.app.loading import load

    return load(found) if isinstance(found, str) else found


@pytest.fixture
def site(request: pytest.FixtureRequest, rimward_app: "App") -> "Iterator[Site]":
    """An open Site of the project's app, with what the mark `site` says."""
    from rimward.testing import Site

    mark = request.node.get_closest_marker("site")
    arguments: dict[str, Any] = {} if mark is None else mark.kwargs
    opened = Site(rimward_app, **arguments)
    opened.open()
    yield opened
    opened.close()
