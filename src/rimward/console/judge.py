"""Is it up, and what is wrong: from what was seen to sentences, worst first."""

from collections.abc import Iterator

from rimward.cloud.ingest.figures import IngestFigures
from rimward.console.figures import age, count, duration, plural, size
from rimward.console.history import FunctionFigures, History
from rimward.console.model import Problem, Seen
from rimward.observe.life import is_ingest

STALE = 5.0  # seconds without a sign of life before that is said; there is one every second or oftener
OLD = 60.0  # seconds that a fact may wait while the hub is connected
GAPS = 3  # lanes with missing rows that are named
FILLED, NEARLY_FULL = 0.8, 0.95  # of the outbox's cap


def problems(seen: Seen, history: History) -> list[Problem]:
    """Return everything that is wrong, the grave first."""
    found = [*_node(seen), *_processes(seen), *_outbox(seen), *_uplink(seen), *_hub(seen), *_ledger(seen)]
    for function in history.functions():
        found.extend(_function(function))
    found.extend(Problem(grave=False, what=f"{what}.") for what in seen.unreadable)
    return sorted(found, key=lambda problem: not problem.grave)


def sentence(seen: Seen, history: History, found: list[Problem]) -> str:
    """Return the one sentence on top: is it up, how fast, what waits."""
    grave = [problem for problem in found if problem.grave]
    if seen.snapshot is None or _silence(seen) > STALE:
        return f"Down. {grave[0].what}"
    parts = [f"Up, with {plural(len(grave), 'error')}." if grave else "Up."]
    if (rate := history.rate("events")) is not None:
        parts.append(f"{count(rate)} events/s." if rate >= 0.5 else "No events just now.")
    slowest = max((f for f in history.functions() if f.p99), key=_burn, default=None)
    if slowest is not None:
        limit = f" of {duration(slowest.budget)}" if slowest.budget else ""
        parts.append(f"{slowest.name} p99 {duration(slowest.p99)}{limit}.")
    waiting = waiting_rows(seen)
    parts.append("Nothing waits." if not waiting else f"{count(waiting)} facts on their way.")
    return " ".join(parts)


def _burn(function: FunctionFigures) -> tuple[float, int]:
    """Order functions by how near they come to their budget, those without one by their time."""
    p99 = function.p99 or 0
    return (p99 / function.budget if function.budget else 0.0, p99)


def waiting_rows(seen: Seen) -> int:
    """Return how many facts the outbox holds that the lake has not confirmed, as far as that is known."""
    return sum(balance.waiting or 0 for balance in seen.ledger or () if not balance.system)


def oldest_wait(seen: Seen) -> float | None:
    """Return for how many seconds the oldest fact has waited; None when none waits."""
    waits = [b.oldest for b in seen.ledger or () if b.waiting and b.oldest is not None]
    return max(0.0, (seen.at - min(waits)) / 1e9) if waits else None


def silence(seen: Seen) -> float | None:
    """Return for how many seconds the node's figures have not changed; None where there are none."""
    if seen.snapshot is None:
        return None
    starts = [
        one.since or 0
        for one in seen.processes or ()
        if one.name == "node" and one.state == "ready" and one.pid
    ]
    return max(0.0, (seen.at - max([seen.snapshot.at, *starts])) / 1e9)  # a new one has not written any yet


def silences(seen: Seen) -> dict[str, float]:
    """Return for how many seconds processes that should serve have given no sign of life, if too long."""
    signs = {
        "node": seen.snapshot.at if seen.snapshot else None,
        "deep": seen.link.at if seen.link else None,
        "hub": seen.hub_at,
        **seen.ingest_at,
    }
    found: dict[str, float] = {}
    for process in seen.processes or ():
        if process.name not in signs or process.pid is None or process.state != "ready":
            continue
        last = max(signs[process.name] or 0, process.since or 0)
        if last and (seen.at - last) / 1e9 > STALE:
            found[process.name] = (seen.at - last) / 1e9
    return found


def _silence(seen: Seen) -> float:
    found = silence(seen)
    return float("inf") if found is None else found


def _processes(seen: Seen) -> Iterator[Problem]:
    for process in seen.processes or ():
        if process.pid is None:
            yield Problem(
                grave=process.name in ("supervisor", "node"),
                what=f"The process {process.name} does not run.",
                cure=f"It is started again by itself; the reason is in logs/{process.name}.log.",
            )
        elif process.halted:
            yield Problem(
                grave=True,
                what=f"The process {process.name} was made to stand still.",
                cure=f"kill -CONT {process.pid} lets it go on; a fault that was asked for ends by itself.",
            )
        elif process.over:
            yield Problem(
                grave=True,
                what=f"{process.over} runs past its time and holds up the process {process.name}.",
                cure='It is stopped at its limit; run="process" keeps it from everything else.',
            )
    if (silent := silences(seen).get("hub")) is not None:
        yield Problem(
            grave=True,
            what=f"The hub has given no sign of life for {age(silent)}.",
            cure="Cloud functions and commands wait; see logs/hub.log.",
        )
    for name, silent in silences(seen).items():
        if is_ingest(name):
            yield Problem(
                grave=True,
                what=f"{name.capitalize()} has given no sign of life for {age(silent)}.",
                cure=f"Facts wait in the outbox, or another ingest takes them; see logs/{name}.log.",
            )


def _node(seen: Seen) -> Iterator[Problem]:
    if seen.snapshot is None and any(one.name == "enrol" for one in seen.processes or ()):
        return  # a hub whose nodes are elsewhere
    if seen.snapshot is None:
        yield Problem(grave=True, what="No node has written figures yet.", cure="See logs/node.log.")
        return
    if _silence(seen) > STALE:
        yield Problem(
            grave=True,
            what=f"The node's figures are stale for {age(_silence(seen))}: it hangs or does not run.",
            cure="See logs/node.log, and whether the disk is full.",
        )
    for part, what in sorted(seen.snapshot.health.items()):
        yield Problem(grave=not part.startswith("function "), what=f"{part}: {what}.")


def _outbox(seen: Seen) -> Iterator[Problem]:
    outbox = seen.snapshot.outbox if seen.snapshot else {}
    cap = outbox.get("max_bytes", 0.0)
    fill = outbox.get("bytes", 0.0) / cap if cap else 0.0
    if fill >= FILLED:
        yield Problem(
            grave=fill >= NEARLY_FULL,
            what=f"The outbox is {fill:.0%} full.",
            cure="Full, it refuses facts. Reconnect the hub, or raise outbox.max_bytes.",
        )
    if outbox.get("reserve_used"):
        yield Problem(
            grave=True,
            what=f"The node's disk has {size(outbox.get('free_bytes', 0.0))} left, "
            "less than the outbox's reserve.",
            cure="New facts are refused, losses can still be told. Make room on the disk.",
        )
    oldest = oldest_wait(seen)
    if seen.link is not None and seen.link.connected and oldest is not None and oldest > OLD:
        yield Problem(
            grave=False,
            what=f"The oldest fact has waited for {age(oldest)} although the hub is connected.",
            cure="See logs/deep.log and logs/hub.log.",
        )


def _uplink(seen: Seen) -> Iterator[Problem]:
    if seen.link is None:
        return
    silent = (seen.at - seen.link.at) / 1e9
    if silent > STALE:
        yield Problem(
            grave="deep" in silences(seen),
            what=f"The uplink's figures are stale for {age(silent)}.",
            cure="Devices are served all the same; see logs/deep.log.",
        )
    elif not seen.link.connected:
        yield Problem(
            grave=False,
            what="The hub is not connected.",
            cure="Devices are served all the same; facts wait in the outbox.",
        )


def _hub(seen: Seen) -> Iterator[Problem]:
    """Yield what the hub tells of the node, and what ingest and the hub's audit tell of themselves."""
    verdict = "" if seen.link is None else seen.link.verdict
    if verdict in ("quarantined", "rekey"):
        yield Problem(
            grave=True,
            what=f"The hub takes nothing of this node's outbox ({verdict}): another has used its name.",
            cure="rimward hub release NODE says which one goes on; a re-key ends by itself.",
        )
    for one in seen.ingest:
        yield from _ingest(one)
    if off := seen.hub_counts.get("ledger_off_now"):
        yield Problem(
            grave=True,
            what=f"The hub's audit found {plural(off, 'sum')} of the ledger off.",
            cure="rimward ledger shows every equation.",
        )


def _ingest(one: IngestFigures) -> Iterator[Problem]:
    if one.slow:
        yield Problem(
            grave=False,
            what=f"Commits of {one.name} are slow: p99 {duration(round(one.commit_p99_ms * 1e6))}, "
            "half a second is the limit.",
            cure="Facts are late, none is lost. Is the disk slow, or has a table too many files?",
        )
    for lane in one.gaps[:GAPS]:
        yield Problem(
            grave=True,
            what=f"Rows of {lane} came and those before them are missing.",
            cure="They are asked for again and again; the node has them, or says that they are lost.",
        )
    if len(one.gaps) > GAPS:
        yield Problem(grave=True, what=f"So it is with {len(one.gaps) - GAPS} lanes more.")
    for node in one.quarantined:
        yield Problem(
            grave=True,
            what=f"An outbox of {node} is quarantined: another of that name is live.",
            cure=f"Stop one of them, or rimward hub release {node}.",
        )
    if one.without_lease:
        yield Problem(
            grave=False,
            what=f"{one.name.capitalize()} has no lease for its share of the nodes.",
            cure="Another process takes their facts, or the bus does not answer; see its log.",
        )


def _ledger(seen: Seen) -> Iterator[Problem]:
    for balance in seen.ledger or ():
        if balance.unknown is not None and not balance.settled:
            low, high = balance.unknown
            yield Problem(
                grave=True,
                what=f"The disk of {balance.node} was lost, and with it {count(low)} to {count(high)} rows "
                f"of {balance.fact}.",
                cure=f"rimward ledger shows what is known; --settle {balance.node} takes note of it.",
            )
        if balance.missing:
            yield Problem(
                grave=True,
                what=f"The ledger of {balance.fact} from {balance.node} is off by {count(balance.missing)}.",
                cure="rimward ledger shows the whole equation.",
            )
        if balance.dead_lettered:
            yield Problem(
                grave=False,
                what=f"{plural(balance.dead_lettered, 'row')} of {balance.fact} could not be stored as sent.",
                cure=f"They are kept with their reason beside the table {balance.fact}.",
            )


def _function(function: FunctionFigures) -> Iterator[Problem]:
    if function.recent_errors:
        times = plural(function.recent_errors, "time")
        yield Problem(
            grave=False,
            what=f"{function.name} failed or refused {times} in the last minute.",
            cure="rimward trace last shows the newest kept trace.",
        )
    if function.recent_overruns:
        yield Problem(
            grave=False,
            what=f"{function.name} went over its budget of {duration(function.budget)} "
            f"{plural(function.recent_overruns, 'time')} in the last minute.",
            cure="Its slow traces are below.",
        )
