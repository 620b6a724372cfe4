"""Who may do what, written down by hand: the table that gateways are held to and docs/access.md shows.

Columns are identities of `ACCESS`, rows are actions. This file knows nothing of how the node decides.
"""

from enum import Enum

from msgspec import Struct

APP = """\
from rimward import App, Device, coap, http, mqtt
app = App("matrix", compat="2026-11-01")
@app.edge(mqtt("trucks/{truck}/temperature"))
def temperature(truck: str, payload: bytes) -> None: ...
@app.edge(mqtt("open"))
def anyone_who_is_known(device: Device, payload: bytes) -> None: ...
@app.edge(http.post("/trucks/{truck}/reports"))
def report(truck: str, payload: bytes) -> str:
    return truck
@app.edge(http.get("/open"))
def open_page(device: Device) -> str:
    return device.id
@app.edge(http.get("/health"))
def health() -> str:
    return "well"
@app.edge(coap.post("trucks/{truck}/reports"))
def report_by_coap(truck: str, payload: bytes) -> str:
    return truck
@app.edge(coap.get("trucks/{truck}/reports"))
def reports(truck: str) -> str:
    return truck
@app.edge(coap.get("open"))
def open_by_coap(device: Device) -> str:
    return device.id
@app.edge(coap.get("health"))
def health_by_coap() -> str:
    return "well"
"""

ACCESS = """\
[[device]]
id = "truck-1"
password = "{hash}"
token = "{token}"
certificate = "subject:truck-1"
oscore = {{ sender = "", recipient = "01", secret = "{oscore}" }}

[[device]]
id = "truck-2"
password = "{hash}"

[[device]]
id = "display"
user = "ann"
password = "{hash}"
roles = ["dashboard"]

[[device]]
id = "root"
password = "{hash}"
roles = ["all"]

[[rule]] # for everyone who is known, beside what is their own
own = true
subscribe = ["news"]

[[rule]]
roles = ["dashboard"]
subscribe = ["trucks/+/display"]
publish = ["notes/{{user}}"]
request = ["GET /nowhere"]

[[rule]]
roles = ["all"]
publish = ["#"]
subscribe = ["#"]
request = ["* /#"]

[[rule]]
anyone = true
request = ["GET /health"]

[[jwt]]
issuer = "https://id.example"
audience = "site"
rules_claim = "acl"
[[jwt.key]]
file = "secret"
algorithm = "HS256"
"""


class Kind(Enum):
    """How an action is done."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    RECEIVE = "receive"  # by a subscription to all that there is
    RETAINED = "retained"  # the same, of what was said before
    SHARED = "shared"  # the same, as the only member of a group
    WILL = "will"
    REQUEST = "request"
    OBSERVE = "observe"


class Action(Struct, frozen=True):
    """One row."""

    name: str
    kind: Kind
    what: str  # topic, filter, or method and path


class Who(Struct, frozen=True):
    """One column."""

    name: str
    id: str = ""  # "" is nobody
    by: str = "password"  # "nothing", "password", "wrong", "token", "jwt", "rules", "certificate", "oscore"


PEOPLE = (
    Who("nobody", by="nothing"),
    Who("a wrong password", "truck-1", "wrong"),
    Who("truck-1 by password", "truck-1"),
    Who("truck-1 by token", "truck-1", "token"),
    Who("truck-1 by JWT", "truck-1", "jwt"),
    Who("truck-1 by certificate", "truck-1", "certificate"),
    Who("truck-1 by OSCORE", "truck-1", "oscore"),
    Who("truck-2", "truck-2"),
    Who("display (role dashboard, user ann)", "display"),
    Who("gate (JWT with rules)", "gate", "rules"),
    Who("root (role all)", "root"),
)
TOKEN_RULES = [{"publish": ["gates/{client}/#"], "subscribe": ["gates/{client}/#"]}]

P, S, R, T, G, W, Q, V = (
    Kind.PUBLISH, Kind.SUBSCRIBE, Kind.RECEIVE, Kind.RETAINED, Kind.SHARED, Kind.WILL, Kind.REQUEST,
    Kind.OBSERVE,
)  # fmt: skip
TRUCK_1 = frozenset({"truck-1", "root"})
TRUCKS = frozenset({"truck-1", "truck-2", "display", "gate", "root"})  # whoever is known
# gate has rules of its own in its token, but the rule for everyone leaves it what is its own as well.
TABLE: dict[Action, frozenset[str]] = {
    Action("publish where the first capture is truck-1", P, "trucks/truck-1/temperature"): TRUCK_1,
    Action("publish below truck-1, where no function listens", P, "trucks/truck-1/x"): frozenset({"root"}),
    Action("publish to a pattern without captures", P, "open"): TRUCKS,
    Action("publish to a topic of no function", P, "elsewhere"): frozenset({"root"}),
    Action("publish what a rule allows by {user}", P, "notes/ann"): frozenset({"display", "root"}),
    Action("publish what a token's rules allow", P, "gates/gate/x"): frozenset({"gate", "root"}),
    Action("answer a command to truck-1", P, "devices/truck-1/replies/x"): TRUCK_1,
    Action("leave a will where the first capture is truck-1", W, "trucks/truck-1/temperature"): TRUCK_1,
    Action("subscribe below truck-1", S, "trucks/truck-1/#"): TRUCK_1 | {"display"},
    Action("subscribe to the commands of truck-1", S, "devices/truck-1/commands/+"): TRUCK_1,
    Action("subscribe to what a rule allows", S, "trucks/truck-1/display"): TRUCK_1 | {"display"},
    Action("subscribe to more than what is allowed", S, "trucks/+/display"): TRUCKS,
    Action("subscribe to a topic of nobody", S, "elsewhere"): frozenset({"root"}),
    Action("subscribe to everything", S, "#"): TRUCKS,
    Action("receive from truck-1, subscribed to everything", R, "trucks/truck-1/x"): TRUCK_1,
    Action("receive what a rule allows, subscribed to everything", R, "trucks/truck-1/display"): TRUCK_1
    | {"display"},
    Action(
        "receive a command to truck-1, subscribed to everything", R, "devices/truck-1/commands/x"
    ): TRUCK_1,
    Action("get what was retained below truck-1", T, "trucks/truck-1/kept"): TRUCK_1,
    Action("be the member of a group that gets it", G, "trucks/truck-1/x"): TRUCK_1,
    Action("ask for a path whose first capture is truck-1", Q, "POST /trucks/truck-1/reports"): TRUCK_1,
    Action("ask for a path without captures", Q, "GET /open"): TRUCKS,
    Action("ask for a path of no function", Q, "GET /nowhere"): frozenset({"display", "root"}),
    Action("ask for what anyone may", Q, "GET /health"): TRUCKS | {""},
    Action("observe below truck-1", V, "/trucks/truck-1/reports"): frozenset({"truck-1"}),
    Action("observe below truck-2", V, "/trucks/truck-2/reports"): frozenset({"truck-2"}),
    Action("observe a path without captures", V, "/open"): TRUCKS,
}


def expected(who: Who, action: Action) -> str:
    """Return "yes", "no", or "who" where it is refused for want of credentials."""
    if who.by == "wrong":
        return "who"
    if who.id in TABLE[action]:
        return "yes"
    return "no" if who.id else "who"


def markdown() -> str:
    """Return the table as docs/access.md shows it."""
    marks = {"yes": "yes", "no": "-", "who": "who?"}
    lines = ["| may | " + " | ".join(who.name for who in PEOPLE) + " |", "|---" * (len(PEOPLE) + 1) + "|"]
    for action in TABLE:
        what = f"{action.name}: `{action.what}`"
        cells = [marks[expected(who, action)] for who in PEOPLE]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
