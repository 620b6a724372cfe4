"""The page "Now" as HTML: parts by id, so that a live page can be brought up to date part by part."""

from datetime import UTC, datetime

from rimward.console.figures import DASH, age, count, duration, milliseconds, plural, rate, size
from rimward.console.history import FunctionFigures, History
from rimward.console.html import Html, Node, tag, text
from rimward.console.judge import STALE, oldest_wait, problems, sentence, silence, silences, waiting_rows
from rimward.console.model import Balance, Process, Seen
from rimward.observe import Trace

TRACES = 12  # newest kept traces on the page


def parts(seen: Seen, history: History) -> dict[str, Html]:
    """Return the page's parts by their id."""
    found = problems(seen, history)
    well = not any(problem.grave for problem in found)
    return {
        "verdict": tag("p", sentence(seen, history, found), class_="well" if well else "grave"),
        "problems": text([_problem(p.what, p.cure, grave=p.grave) for p in found]),
        "devices": _devices(seen, history),
        "edge": _edge(seen, history),
        "network": _network(seen),
        "cloud": _cloud(seen),
        "paths": _paths(seen, history),
        "functions": _functions(history.functions()),
        "ledger": _ledger(seen.ledger),
        "traces": _traces(seen.traces),
        "processes": _processes(seen),
        "about": _about(seen),
    }


def page(shown: dict[str, Html], version: str) -> Html:
    """Return the whole page; scripts keep it up to date from `version` on, without them it reloads itself."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "Rimward"),
        tag("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/static/now.css"),
        tag("noscript", tag("meta", http_equiv="refresh", content="5")),
        tag("script", src="/static/now.js", type="module"),
    )
    layers = tag(
        "section",
        _layer("1", "Devices", "devices", shown),
        _layer("2", "Edge node", "edge", shown),
        _layer("3", "Network", "network", shown),
        _layer("4", "Cloud", "cloud", shown),
        class_="layers",
        aria_label="The four layers",
    )
    main = tag(
        "main",
        tag("div", shown["verdict"], id="verdict"),
        tag("ul", shown["problems"], id="problems"),
        layers,
        tag("div", shown["paths"], id="paths"),
        _section("Functions", "functions", shown, "Latency of the last minute, from the read of the bytes."),
        _section("Ledger", "ledger", shown, "Stored is counted in the lake's tables."),
        _section("Kept traces", "traces", shown, "Slow, failed and over-budget events, and samples."),
        _section("Processes", "processes", shown),
    )
    head_line = tag("header", tag("h1", "Rimward"), tag("div", shown["about"], id="about"))
    lost = tag("div", id="lost", role="status", hidden=True)
    body = tag("body", head_line, lost, main, data_version=version)
    return Html("<!doctype html>\n" + tag("html", head, body, lang="en"))


def notice(title: str, said: str) -> Html:
    """Return a page that says one thing."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title),
        tag("link", rel="stylesheet", href="/static/now.css"),
    )
    body = tag("body", tag("main", tag("h1", title), tag("p", said)))
    return Html("<!doctype html>\n" + tag("html", head, body, lang="en"))


def _layer(number: str, title: str, part: str, shown: dict[str, Html]) -> Html:
    heading = tag("h2", tag("span", number, class_="number"), " ", title)
    return tag("article", heading, tag("div", shown[part], id=part), class_="layer")


def _section(title: str, part: str, shown: dict[str, Html], note: str = "") -> Html:
    heading = tag("h2", title, " ", tag("small", note) if note else None)
    return tag("section", heading, tag("div", shown[part], id=part, class_="scroll"))


def _problem(what: str, cure: str, *, grave: bool) -> Html:
    word = tag("strong", "Error" if grave else "Warning")
    return tag(
        "li", word, tag("span", what), tag("span", cure, class_="cure"), class_="grave" if grave else "odd"
    )


def _figures(*pairs: tuple[str, str, str]) -> Html:
    """Return a list of (name, value, meaning)."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value), title=why) for name, value, why in pairs])


def _devices(seen: Seen, history: History) -> Html:
    if seen.snapshot is None:
        return _empty("No figures yet.")
    gateways = seen.snapshot.gateways
    connected = sum(figures.get("connections", 0) for figures in gateways.values())
    rows = [
        ("connections", count(connected), "Open now, over all protocols"),
        ("events/s", rate(history.rate("events")), "Messages and requests that reached a function, last 5 s"),
        ("events", count(seen.snapshot.counters.get("events", 0)), "Since the node started"),
    ]
    extra = [_gateway(name, figures) for name, figures in sorted(gateways.items())]
    return text([_figures(*rows), extra])


def _gateway(name: str, figures: dict[str, int]) -> Html:
    lines = [(key.replace("_", " "), count(value), "") for key, value in figures.items()]
    return tag("details", tag("summary", name.upper()), _figures(*lines), id=f"gateway-{name}")


def _edge(seen: Seen, history: History) -> Html:
    if seen.snapshot is None:
        return _empty("No node runs. Start one: rimward dev app.py")
    counters, outbox = seen.snapshot.counters, seen.snapshot.outbox
    return _figures(
        ("actions/s", rate(history.rate("actions")), "Messages published by functions, last 5 s"),
        ("actions", count(counters.get("actions", 0)), "Since the node started"),
        ("facts", count(counters.get("forwards", 0)), "Forwarded since the node started"),
        ("outbox waits", count(waiting_rows(seen)), "Facts that the lake has not confirmed"),
        ("oldest waits", age(oldest_wait(seen)), "Age of the oldest fact that waits"),
        (
            "outbox holds",
            size(outbox.get("bytes")),
            "Stored facts stay a while, for a lake that is restored",
        ),
    )


def _network(seen: Seen) -> Html:
    link = seen.link
    if link is None:
        return _empty("No uplink has written figures yet.")
    measured = f"{link.rtt * 1e3:.2f} ms" if link.connected and link.rtt is not None else DASH
    troubles = [("went wrong", link.errors, "Since the deep process started")]
    return _figures(
        ("uplink", "connected" if link.connected else "not connected", "To the hub's bus"),
        ("round trip", measured, "Smoothed"),
        ("measured", f"{age((seen.at - link.at) / 1e9)} ago", "When the uplink wrote these figures"),
        *(troubles if link.errors and not link.connected else []),
    )


def _cloud(seen: Seen) -> Html:
    if seen.ledger is None:
        return _empty("No hub, or its lake can't be read. It comes with: pip install 'rimward[cloud]'")
    known = [balance.stored for balance in seen.ledger if balance.stored is not None]
    return _figures(
        ("rows", count(sum(known)) if known else DASH, "Counted in the lake's tables"),
        ("tables", count(len({balance.fact for balance in seen.ledger})), "One for each fact"),
        (
            "dead-lettered",
            count(sum(b.dead_lettered for b in seen.ledger)),
            "Did not fit their table",
        ),
        ("discarded", count(sum(b.discarded for b in seen.ledger)), "Shed by a full outbox"),
    )


def _paths(seen: Seen, history: History) -> Html:
    """Return the two ways an event takes: to its function and back, and on to the cloud."""
    alive = (silence(seen) or 0.0) <= STALE and seen.snapshot is not None
    times = [f.p99 for f in history.functions() if f.p99 is not None]
    fast = f"p99 {duration(max(times))}" if alive and times else "idle" if alive else "stopped"
    connected = seen.link is not None and seen.link.connected
    waiting = waiting_rows(seen)
    deep = "flowing" if connected else f"cut, {plural(waiting, 'fact')} wait" if seen.link else "not there"
    return text(
        [
            _path("fast", "fast path: device → function → device", fast, on=alive),
            _path("deep", "deep path: outbox → bus → lake", deep, on=connected),
        ]
    )


def _path(name: str, way: str, state: str, *, on: bool) -> Html:
    return tag("div", way, tag("span", state), class_=f"{name} on" if on else name)


def _functions(functions: list[FunctionFigures]) -> Html:
    if not functions:
        return _empty("No function was called yet. rimward dev prints a line that sends a first message.")
    heads = "function|>calls/s|>calls|>p50 ms|>p99 ms|>budget ms|p99 of budget|>overruns|>errors"
    rows = [
        tag(
            "tr",
            tag("th", f.name, scope="row"),
            _number(rate(f.rate)),
            _number(count(f.calls)),
            _number(milliseconds(f.p50)),
            _number(milliseconds(f.p99)),
            _number(milliseconds(f.budget)),
            tag("td", _burn(f)),
            _number(count(f.overruns), odd=f.recent_overruns > 0),
            _number(count(f.errors), odd=f.recent_errors > 0),
        )
        for f in functions
    ]
    return _table(heads, rows)


def _burn(function: FunctionFigures) -> Node:
    if function.p99 is None or not function.budget:
        return DASH
    share = round(100 * function.p99 / function.budget)
    meter = tag("meter", min=0, max=100, high=80, value=min(share, 100), aria_label="p99 of budget")
    return [meter, f" {share} %"]


def _ledger(ledger: tuple[Balance, ...] | None) -> Html:
    if not ledger:
        return _empty("Nothing was forwarded yet.")
    heads = "fact|node|>forwarded|>= stored|>+ waiting|>+ dead-lettered|>+ expired|>+ erased|>+ discarded|"
    return _table(heads, [_balance(balance) for balance in ledger])


def _balance(b: Balance) -> Html:
    sides = (b.forwarded, b.stored, b.waiting, b.dead_lettered, b.expired, b.erased, b.discarded)
    if b.missing is None:
        verdict = tag("td", "not known yet")
    elif b.missing:
        verdict = tag("td", f"off by {count(b.missing)}", class_="grave")
    else:
        verdict = tag("td", "balanced", class_="well")
    names = [tag("th", b.fact, scope="row"), tag("td", b.node)]
    return tag("tr", names, [_number(count(n)) for n in sides], verdict)


def _traces(traces: tuple[Trace, ...]) -> Html:
    if not traces:
        return _empty("No trace was kept yet.")
    heads = "time (UTC)|function|from|sender|>ms|longest stage|effects|kept because|trace"
    return _table(heads, [_trace(trace) for trace in traces[:TRACES]])


def _trace(trace: Trace) -> Html:
    end = max((stage.end for stage in trace.stages), default=trace.at)
    longest = max(trace.stages, key=lambda stage: stage.end - stage.start, default=None)
    why = trace.error or ("over budget" if trace.over_budget else "sample")
    return tag(
        "tr",
        tag("td", _clock(trace.at)),
        tag("th", trace.function, scope="row"),
        tag("td", trace.source, title=trace.source),
        tag("td", trace.sender),
        _number(milliseconds(end - trace.at)),
        tag("td", f"{longest.name} {milliseconds(longest.end - longest.start)}" if longest else DASH),
        tag("td", _effects(trace)),
        tag("td", why, class_="grave" if trace.error else "odd" if trace.over_budget else None),
        tag("td", tag("code", trace.id, title=f"rimward trace {trace.id}")),
    )


def _effects(trace: Trace) -> str:
    done = [(trace.actions, "action"), (len(trace.rows), "fact")]
    return ", ".join(plural(n, what) for n, what in done if n) or DASH


def _processes(seen: Seen) -> Html:
    if not seen.processes:
        return _empty("No supervisor has written its processes yet.")
    return _table("process|state|>pid|>up for|>restarts", [_process(one, seen) for one in seen.processes])


def _process(process: Process, seen: Seen) -> Html:
    now, silent = seen.at, silences(seen).get(process.name)
    state = process.state if silent is None else f"no sign of life for {age(silent)}"
    up = None if process.since is None or process.pid is None else (now - process.since) / 1e9
    well = process.pid is not None and state == "ready" and not process.halted
    return tag(
        "tr",
        tag("th", process.name, scope="row"),
        tag("td", state, class_=None if well else "grave"),
        _number(DASH if process.pid is None else str(process.pid)),
        _number(age(up)),
        _number(count(process.restarts), odd=process.restarts > 0),
    )


def _about(seen: Seen) -> Html:
    if seen.snapshot is None:
        return Html()
    silent = silence(seen) or 0.0
    fresh = "live" if silent <= STALE else f"stale for {age(silent)}"
    said = [seen.snapshot.app.rpartition("/")[2], seen.snapshot.node, fresh, f"up {age(_up(seen))}"]
    return text([tag("span", one) for one in said])


def _up(seen: Seen) -> float:
    return 0.0 if seen.snapshot is None else (seen.at - seen.snapshot.started_at) / 1e9


def _clock(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%H:%M:%S}.{ns // 1_000_000 % 1_000:03d}"


def _number(shown: str, *, odd: bool = False) -> Html:
    return tag("td", shown, class_="n odd" if odd else "n")


def _table(heads: str, rows: list[Html]) -> Html:
    """Return a table; `heads` are its columns' names between bars, with `>` before those of numbers."""
    names = [name.strip() for name in heads.split("|")]
    cells = [tag("th", n.lstrip(">"), scope="col", class_="n" if n.startswith(">") else None) for n in names]
    return tag("table", tag("thead", tag("tr", cells)), tag("tbody", rows))


def _empty(said: str) -> Html:
    return tag("p", said, class_="empty")
