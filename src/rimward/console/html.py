"""Writing HTML in which every text is escaped unless this module wrote it."""

from collections.abc import Sequence
from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Node = str | int | None | Sequence["Node"]  # what may stand inside an element

VOID = frozenset({"meta", "link", "meter", "br"})  # written without children


def text(node: Node) -> Html:
    """Return a node as HTML; plain strings are escaped, None is nothing."""
    if isinstance(node, Html):
        return node
    if node is None:
        return Html()
    if isinstance(node, str | int):
        return Html(escape(str(node), quote=True))
    return Html("".join(text(child) for child in node))


def tag(name: str, /, *children: Node, **attributes: str | float | bool | None) -> Html:
    """Return an element; attributes that are None or False are left out, `_` in a name stands for `-`."""
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID and not children:
        return Html(f"<{name}{shown}>" + ("</meter>" if name == "meter" else ""))
    return Html(f"<{name}{shown}>{text(children)}</{name}>")


def _attribute(name: str, value: str | float | bool | None) -> str:  # noqa: FBT001  HTML has such attributes
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{escape(str(value), quote=True)}"'
