from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.console.history import History
from rimward.console.html import Html, tag, text
from rimward.console.model import Balance, Seen
from rimward.console.page import page, parts

from .samples import NOW, seen, snapshot, trace

EVIL = "<script>alert('x')</script>\" onload=\"x"
VOID = {"meta", "link"}


class Outline(HTMLParser):
    """Notes elements, attributes and text, and whether every element is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.said: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.ids.extend(value or "" for name, value in attrs if name == "id")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def outline(what: Seen) -> Outline:
    history = History()
    if what.snapshot is not None:
        history.add(what.snapshot)
    return Outline(page(parts(what, history), "r-1"))


@given(st.text())
def test_any_text_is_read_back_as_it_was(said: str) -> None:
    source = tag("p", said, title=said)
    read = Outline(source)
    clean = said.replace("\r\n", "\n").replace("\r", "\n")
    assert read.names == {"p"}
    assert read.attributes == {"title"}
    assert "".join(read.said).replace("\r\n", "\n").replace("\r", "\n") == clean or "\x00" in said


def test_only_text_that_is_marked_as_html_is_left_alone() -> None:
    assert text("<b>") == "&lt;b&gt;"
    assert text(Html("<b>")) == "<b>"
    assert text(["a", None, Html("<br>"), ["<"], 7]) == "a<br>&lt;7"


@pytest.mark.parametrize(
    "what",
    [
        seen(traces=(trace(source=EVIL, sender=EVIL, function=EVIL, error=EVIL, id=EVIL),)),
        seen(snapshot=snapshot(node=EVIL, app=EVIL, health={EVIL: EVIL}, gateways={EVIL: {EVIL: 1}})),
        seen(ledger=(Balance(EVIL, EVIL, 1, 1, 0),), unreadable=(EVIL,)),
    ],
)
def test_what_devices_say_is_never_markup(what: Seen) -> None:
    read = outline(what)
    assert "onload" not in read.attributes
    assert not any(said.startswith("alert") for said in read.said)
    assert any("<script>alert" in said for said in read.said)


@pytest.mark.parametrize(
    "what", [seen(), Seen(at=NOW), seen(link=None), seen(ledger=None), seen(processes=None)]
)
def test_the_page_is_whole_whatever_is_missing(what: Seen) -> None:
    read = outline(what)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert {"verdict", "problems", "devices", "edge", "network", "cloud", "paths"} <= set(read.ids)


def test_stale_figures_say_for_how_long() -> None:
    assert "stale for 12 s" in outline(seen(at=NOW + 12_000_000_000)).said


def test_the_ledger_says_whether_it_balances() -> None:
    assert "balanced" in outline(seen()).said
    assert "off by 2" in outline(seen(ledger=(Balance("n", "f", 9, 7, 0),))).said
    assert "not known yet" in outline(seen(ledger=(Balance("n", "f", 9, None, None),))).said
