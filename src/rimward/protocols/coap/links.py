"""What a node serves, in the link format [RFC 6690]."""

from msgspec import Struct

FORMAT = 40  # application/link-format
Attribute = tuple[str, str]


class Link(Struct, frozen=True):
    """One resource; a template's captures stand as `{name}`."""

    target: str  # with its slash
    attributes: tuple[Attribute, ...] = ()  # an empty value is written as the name alone

    def __str__(self) -> str:
        parts = [f"<{self.target}>"]
        for name, value in self.attributes:
            parts.append(name if not value else f"{name}={_written(value)}")
        return ";".join(parts)


def _written(value: str) -> str:
    return value if value.isdecimal() else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(links: list[Link]) -> str:
    """Return links as one document."""
    return ",".join(map(str, links))


def filtered(links: list[Link], queries: list[str]) -> list[Link]:
    """Return the links that fit every query, such as `rt=temperature*` or `href=/meters*` [§4.1]."""
    for query in queries:
        name, equals, wanted = query.partition("=")
        links = [link for link in links if _fits(link, name, wanted if equals else "*")]
    return links


def _fits(link: Link, name: str, wanted: str) -> bool:
    if name == "href":
        return _equals(link.target, wanted)
    found = [value for attribute, value in link.attributes if attribute == name]
    return any(_equals(one, wanted) for value in found for one in (value.split(" ") if value else [""]))


def _equals(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted
