"""The boundary as an SVG that stands alone: four columns, one a layer, and what goes between them.

Text is set in a monospaced face, whose widths are known, and cut where a box ends; a tooltip has all of it.
"""

from collections.abc import Iterable
from html import escape

from msgspec import Struct, field

from rimward.local.boundary import Boundary, Flow, amount
from rimward.local.text import printable

GLYPH = 6.65  # px of a character at 11 px, and a little more
WIDTHS = {"device": 220, "edge": 250, "network": 210, "cloud": 210}
GAP = 70  # px between columns
MARGIN = 24  # px
TOP = 84  # px above the first box
LINE = 16  # px
PAD = 10  # px inside a box
BETWEEN = 14  # px between boxes
TITLES = {"device": "1 devices", "edge": "2 edge node", "network": "3 network", "cloud": "4 cloud"}
STYLE = """
text{font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#24292f}
.page{fill:#ffffff}.box{fill:#f6f8fa;stroke:#8c959f}.name{font-weight:700}.quiet{fill:#57606a}
.title{font-weight:700;font-size:13px}.arrow{fill:none;stroke:#8c959f;stroke-width:1.3}
.cross{stroke:#bc4c00;stroke-width:1.8}.edge .box{stroke:#1a7f64}.network .box{stroke:#bc4c00}
.cloud .box{stroke:#4553c4}.wall{stroke:#bc4c00;stroke-dasharray:5 5}
.head{fill:#8c959f}.headcross{fill:#bc4c00}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.box{fill:#161b22;stroke:#6e7681}
.quiet{fill:#9da7b3}.arrow{stroke:#6e7681}.cross{stroke:#f0883e}.edge .box{stroke:#3fb68b}
.network .box{stroke:#f0883e}.cloud .box{stroke:#8b9cff}.wall{stroke:#f0883e}.head{fill:#6e7681}
.headcross{fill:#f0883e}}
"""


class Box(Struct):
    """One box: its lines, the first in bold, and where it is; px."""

    key: str
    layer: str
    lines: list[str]
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        """How wide its column is."""
        return WIDTHS[self.layer]

    @property
    def height(self) -> float:
        """How high its lines make it."""
        return 2 * PAD + LINE * len(self.lines)

    @property
    def middle(self) -> float:
        """Where arrows meet it."""
        return self.y + self.height / 2


class Picture(Struct):
    """Boxes by their keys, and arrows between them."""

    boxes: dict[str, Box] = field(default_factory=dict[str, Box])
    arrows: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, key: str, layer: str, lines: Iterable[str | None]) -> None:
        """Add a box where there is none of that key."""
        if key not in self.boxes:
            self.boxes[key] = Box(key, layer, [printable(line) for line in lines if line])

    def place(self) -> float:
        """Put every box into its column; return the lowest end."""
        x, lowest = float(MARGIN), 0.0
        for layer, width in WIDTHS.items():
            y = float(TOP)
            for box in self.boxes.values():
                if box.layer == layer:
                    box.x, box.y = x, y
                    y += box.height + BETWEEN
            lowest = max(lowest, y)
            x += width + GAP
        return lowest


def draw(found: Boundary) -> str:
    """Return the drawing."""
    picture = arrange(found)
    low = picture.place()
    width = 2 * MARGIN + sum(WIDTHS.values()) + GAP * (len(WIDTHS) - 1)
    notes = _wrapped(f"{found.basis}; before compression", int((width - 2 * MARGIN) / GLYPH))
    height = low + LINE * (len(notes) + 1) + MARGIN
    size = f'width="{width}" height="{height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height:g}" role="img">',
        f"<title>{escape(printable(found.app))}: what runs where, and what crosses</title>",
        f"<style>{STYLE}</style>",
        _head("head"), _head("headcross"),
        f'<rect class="page" {size}/>',
        f'<text class="title" x="{MARGIN}" y="30">{escape(printable(found.app)[:100])}</text>',
        *_titles(low),
        *(_arrow(picture, *pair) for pair in picture.arrows),
        *(_box(box) for box in picture.boxes.values()),
        *(f'<text class="quiet" x="{MARGIN}" y="{low + LINE * (n + 1):g}">{escape(line)}</text>'
          for n, line in enumerate(notes)),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


WORDS = {"mqtt": "MQTT", "http": "HTTP", "coap": "CoAP", "ws": "WebSocket"}  # protocols as people write them


def arrange(found: Boundary) -> Picture:
    """Return every box and arrow, not yet placed."""
    picture = Picture()
    for one in found.functions:
        if one.layer == "cloud":
            continue
        key, budget = f"edge {one.name}", None if one.budget is None else f"budget {one.budget * 1e3:g} ms"
        window = "no window" if one.window is None else f"window {one.window:g} s"
        what = f"stream, {window}" if one.layer == "stream" else one.trigger
        picture.add(key, "edge", [one.name, what, budget, one.reply and f"replies {one.reply}"])
        if one.path is not None:
            source = f"device {one.protocol} {one.method} {one.path}"
            how = f"{WORDS.get(one.protocol or '', one.protocol)} {one.method or ''}".strip()
            loose = [name for group in found.unbound if group.path == one.path for name in group.captures]
            unbound = f"unbound: {', '.join(loose)}" if loose else None
            picture.add(source, "device", [one.path, how, unbound])
            picture.arrows.append((source, key))
        picture.arrows += [(f"edge {name}", key) for name in one.behind]
    for flow in found.flows:
        _cross(picture, flow)
    return picture


def _cross(picture: Picture, flow: Flow) -> None:
    lane, table = f"lane {flow.table}", f"table {flow.table}"
    label = f"label {flow.label}" if flow.label else "any place"
    picture.add(
        lane, "network", [flow.fact, f"{flow.priority}, {label}", f"{amount(flow.bytes_a_day)} a day"]
    )
    readers = f"runs {', '.join(flow.readers)}" if flow.readers else None
    picture.add(table, "cloud", [flow.table, "table in the lake", readers])
    picture.arrows += [(f"edge {name}", lane) for name in flow.sources]
    picture.arrows.append((lane, table))


def _titles(low: float) -> list[str]:
    parts: list[str] = []
    x = MARGIN
    for layer, width in WIDTHS.items():
        parts.append(f'<text class="title" x="{x}" y="62">{TITLES[layer]}</text>')
        x += width + GAP
        if layer == "edge":
            wall = x - GAP / 2
            parts.append(f'<line class="wall" x1="{wall}" y1="40" x2="{wall}" y2="{low - BETWEEN:g}"/>')
    return parts


def _box(box: Box) -> str:
    room = int((box.width - 2 * PAD) / GLYPH)
    texts = [
        f'<text class="{"quiet" if n else "name"}" x="{box.x + PAD:g}" y="{box.y + PAD + LINE * n + 12:g}">'
        f"{escape(_cut(line, room))}</text>"
        for n, line in enumerate(box.lines)
    ]
    whole = escape("\n".join(box.lines))
    return (
        f'<g class="{box.layer}"><title>{whole}</title><rect class="box" x="{box.x:g}" y="{box.y:g}" '
        f'width="{box.width}" height="{box.height:g}" rx="6"/>{"".join(texts)}</g>'
    )


def _arrow(picture: Picture, start: str, end: str) -> str:
    one, two = picture.boxes[start], picture.boxes[end]
    crosses = two.layer in {"network", "cloud"}
    style, head = ("arrow cross", "headcross") if crosses else ("arrow", "head")
    if one.layer == two.layer:  # a stream that runs a function: along the column's right side
        x, bend = one.x + one.width, one.x + one.width + GAP * 0.35
        path = (
            f"M{x:g} {one.middle:g}C{bend:g} {one.middle:g} {bend:g} {two.middle:g} {x + 7:g} {two.middle:g}"
        )
    else:
        x, to = one.x + one.width, two.x - 7
        half = (x + to) / 2
        path = f"M{x:g} {one.middle:g}C{half:g} {one.middle:g} {half:g} {two.middle:g} {to:g} {two.middle:g}"
    return f'<path class="{style}" d="{path}" marker-end="url(#{head})"/>'


def _head(name: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{name}" d="M0 0L8 4L0 8z"/></marker>'
    )


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _wrapped(text: str, room: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, room)
