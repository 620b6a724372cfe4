"""Mutants of the durability rules: each breaks one promise of one page, and a named test must turn red.

`python -m tests.faults.mutants [NAME…]` tries them on a copy of the source, as `./dev soak mutants`
does.
A mutant that survives, or whose text is no longer there, is a failure.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
LIMIT = 240  # seconds that a test may take before it counts as red: a mutant may hang


class Mutant(Struct, frozen=True):
    """One change of the source, and the tests of which at least one must fail."""

    name: str
    file: str  # below src/rimward
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "a version takes over that can not take the cells there are",
        "edge/state.py",
        "        other._look_at(list(islice(kept, LOOKED_AT)))\n",
        "        list(islice(kept, LOOKED_AT))\n",
        ("tests/edge/test_versions.py",),
    ),
    Mutant(
        "a call of the version before lets go of its key",
        "edge/state.py",
        "        other._drawer = drawer\n",
        "",
        ("tests/edge/dispatch/test_versions.py",),
    ),
    Mutant(
        "a message that waited runs on the version before",
        "edge/dispatch/dispatcher.py",
        "            now = listeners if self.version is version else self.version.listeners(listeners)\n",
        "            now = listeners\n",
        ("tests/edge/dispatch/test_versions.py",),
    ),
    Mutant(
        "facts of calls in flight are forgotten at the swap",
        "edge/dispatch/versioned.py",
        "        self.facts = self.facts | version.facts\n",
        "        self.facts = version.facts\n",
        ("tests/edge/dispatch/test_versions.py",),
    ),
    Mutant(
        "a version whose start hook fails takes over",
        "edge/versions/versions.py",
        "        await hooks.start()\n",
        "",
        ("tests/local/test_dev.py",),
    ),
    Mutant(
        "changed settings are not seen",
        "edge/settings.py",
        "            taken = self._take(settings)\n",
        "            taken = True\n",
        ("tests/edge/test_versions.py",),
    ),
    Mutant(
        "a state that can't be kept stops the call after others are",
        "edge/dispatch/releasing.py",
        "    changes = None if held is None else _changes(bound, held)\n",
        "    changes = None if held is None else (handle.checked() for handle in held.handles)\n",
        ("tests/testing/test_state.py",),
    ),
    Mutant(
        "a state is kept without a look at its types",
        "app/forms.py",
        "            return Checked(body, self._decode(body))\n",
        "            return Checked(body, value)\n",
        ("tests/testing/test_state.py",),
    ),
    Mutant(
        "a value that is tried again for its row goes on a second time",
        "edge/dispatch/feeding.py",
        "items = stream.finish(items, names) if items else ()\n",
        "items = [*(key.held if key else ()), *stream.finish(items, names)]\n",
        ("tests/edge/dispatch/test_behind.py",),
    ),
    Mutant(
        "a topic does not wait for the stream beside it",
        "edge/dispatch/streams.py",
        "behind = tuple(delay - min(delays) for delay in delays)",
        "behind = (0,) * len(delays)",
        ("tests/testing/test_streams_behind.py",),
    ),
    Mutant(
        "values of two keys have one identity in a third",
        "edge/dispatch/streams.py",
        "return item if mark is None or self._follows else",
        "return item if True else",
        ("tests/testing/test_streams_behind.py",),
    ),
    Mutant(
        "devices are let in though a start hook has failed",
        "edge/node.py",
        "        await self._hooks.start()\n",
        "",
        ("tests/edge/test_hooks.py",),
    ),
    Mutant(
        "a timer is over before its transaction",
        "edge/dispatch/firing.py",
        "            work.steps.append(\n                partial(self._put_back",
        "            (\n                partial(self._put_back",
        ("tests/testing/test_timers.py",),
    ),
    Mutant(
        "the disk keeps a timer that has fired",
        "edge/dispatch/firing.py",
        "                work.tx.puts.append(Put(timed.space, timer.key, None))\n",
        "                pass\n",
        ("tests/testing/test_timers.py",),
    ),
    Mutant(
        "a pending timer is moved without being asked to",
        "edge/dispatch/firing.py",
        "            elif before is None or one.restart:\n",
        "            elif True:\n",
        ("tests/testing/test_timers.py",),
    ),
    Mutant(
        "a timer that is cancelled while it waits fires",
        "edge/dispatch/firing.py",
        "            if timed is None or not timers.is_pending(timer):  # it was cancelled while it waited\n",
        "            if timed is None:\n",
        ("tests/testing/test_timers.py",),
    ),
    Mutant(
        "a message that is refused has set its timer",
        "edge/dispatch/firing.py",
        "            work.steps.append(partial(timers.put, function, key, before))\n",
        "",
        ("tests/testing/test_timers.py",),
    ),
    Mutant(
        "timers go by a clock of 1970",
        "edge/timers.py",
        "min(delay, max(0, wall - self.clock.earliest()))",
        "min(delay, max(0, wall - (self.clock.believed() or wall)))",
        ("tests/edge/test_timers.py",),
    ),
    Mutant(
        "a timer waits for longer than its delay",
        "edge/timers.py",
        "min(delay, max(0, wall - self.clock.earliest()))",
        "max(0, wall - self.clock.earliest())",
        ("tests/edge/test_timers.py",),
    ),
    Mutant(
        "a time that comes twice runs twice",
        "app/cron.py",
        "            found = local.replace(tzinfo=zone).astimezone(dt.UTC)\n",
        "            found = local.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)\n",
        ("tests/app/test_cron.py",),
    ),
    Mutant(
        "a time that is skipped does not run",
        "app/cron.py",
        "                found = _change(local, zone)\n",
        "                continue\n",
        ("tests/app/test_cron.py",),
    ),
    Mutant(
        "a cron line's position is kept apart from its run",
        "edge/dispatch/firing.py",
        '        work.tx.puts.append(Put(f"cron:{run.name}", "", schedule.kept()))\n',
        '        self._write([Put(f"cron:{run.name}", "", schedule.kept())])\n',
        ("tests/testing/test_schedules.py",),
    ),
    Mutant(
        "a scheduled cloud function that raised is not tried again",
        "cloud/functions/scheduled.py",
        "            self._fail(HUB, [row], error)\n",
        "            pass\n",
        ("tests/testing/test_schedules.py",),
    ),
    Mutant(
        "the handler raises in platform code",
        "edge/stopping.py",
        "            users.clear()  # what platform code has called is its own\n",
        "            users.append(one)\n",
        ("tests/edge/test_stopping.py",),
    ),
    Mutant(
        "what is swallowed stays swallowed",
        "edge/stopping.py",
        "        if self._again is not None:\n            self._again()\n",
        "        pass\n",
        ("tests/edge/test_stopping.py",),
    ),
    Mutant(
        "whatever call runs when the signal comes is stopped",
        "edge/stopping.py",
        "        if not start or words[ASKED] != start:\n",
        "        if not start:\n",
        ("tests/edge/test_stopping.py",),
    ),
    Mutant(
        "a debugger is no reason not to stop",
        "edge/stopping.py",
        "        if looked_at():\n",
        "        if False:\n",
        ("tests/edge/test_stopping.py",),
    ),
    Mutant(
        "the clock alone stops and kills",
        "../rimward_supervisor/overruns.py",
        "        return self._burnt + seen.cpu - self._cpu\n",
        "        return seen.now - seen.start\n",
        ("tests/supervisor/test_overruns.py",),
    ),
    Mutant(
        "killed at the limit, without asking first",
        "../rimward_supervisor/overruns.py",
        "        if burnt >= seen.hard + MARGIN:\n",
        "        if burnt >= seen.soft:\n",
        ("tests/supervisor/test_overruns.py",),
    ),
    Mutant(
        "any kill from outside is the running call's fault",
        "../rimward_supervisor/watch.py",
        "        if outside and ran < LONG:\n",
        "        if False:\n",
        ("tests/supervisor/test_watch.py",),
    ),
    Mutant(
        "a hard kill is forgotten at the next start",
        "edge/functions/placing.py",
        "            self._placement.write(self._placement.encoded())\n            self._changed.clear()\n",
        "            self._changed.clear()\n",
        ("tests/edge/functions/test_placing.py",),
    ),
    Mutant(
        "an event may kill for ever",
        "edge/functions/placement.py",
        "KILLS = 2 ",
        "KILLS = 1 << 30 ",
        ("tests/edge/functions/test_placing.py",),
    ),
    Mutant(
        "an event that killed twice is run again",
        "edge/dispatch/calling.py",
        "    if event_of(work) not in run.killers:\n",
        "    if True:\n",
        ("tests/edge/dispatch/test_overruns.py",),
    ),
    Mutant(
        "a function that keeps globals is moved as any other",
        "edge/functions/placing.py",
        "        elif kept := assigned_globals(run.function.plan.function):\n",
        "        elif kept := frozenset[str]():\n",
        ("tests/edge/functions/test_placing.py",),
    ),
    Mutant(
        "a function stays moved whatever becomes of its code",
        "edge/functions/placement.py",
        "name: one for name, one in self._kept.functions.items() if codes.get(name) == one.digest\n",
        "name: one for name, one in self._kept.functions.items()\n",
        ("tests/edge/functions/test_placing.py",),
    ),
    Mutant(
        "after a stop the globals are as the call left them",
        "edge/functions/placing.py",
        "        instance.renew()\n",
        "",
        ("tests/edge/functions/test_placing.py",),
    ),
    Mutant(
        "the slot says that a call runs when it has ended",
        "edge/dispatch/dispatcher.py",
        "        words[START] = 0\n",
        "",
        ("tests/edge/dispatch/test_overruns.py",),
    ),
    Mutant(
        "what is replaced goes on",
        "edge/dispatch/modes.py",
        "        for cancel in lane.cancels:\n            cancel()\n",
        "",
        ("tests/edge/dispatch/test_modes.py",),
    ),
    Mutant(
        "a queue without an end",
        "edge/dispatch/modes.py",
        "        if lane.running + len(lane.waiting) >= function.max:\n",
        "        if False:\n",
        ("tests/edge/dispatch/test_modes.py",),
    ),
    Mutant(
        "the call that a worker died of begins again",
        "edge/functions/pool.py",
        "        culprit = None if innocent else pending.pop(running, None)\n",
        "        culprit = None\n",
        ("tests/edge/functions/test_workers.py",),
    ),
    Mutant(
        "a call that waits for a processor is ended as if it ran",
        "edge/functions/pool.py",
        "            if state in _SLEEPS or cpu - link.seen[1] >= limit or",
        "            if True or",
        ("tests/edge/functions/test_pool.py",),
    ),
    Mutant(
        "workers that die one after the other follow each other at once",
        "edge/functions/pool.py",
        "        self._deaths += 1\n",
        "",
        ("tests/edge/functions/test_pool.py",),
    ),
    Mutant(
        "what a plain call forwards in a worker is dropped",
        "edge/dispatch/farlane.py",
        "        if left.rows or left.states or left.timers or left.events:\n",
        "        if left.states or left.timers or left.events:\n",
        ("tests/edge/functions/test_workers.py",),
    ),
    Mutant(
        "workers have the network",
        "edge/functions/seccomp.py",
        "    network_calls = () if network else _NETWORK\n",
        "    network_calls = ()\n",
        ("tests/edge/functions/test_confining.py",),
    ),
    Mutant(
        "workers may read the node's data",
        "edge/functions/landlock.py",
        "    if any(_within(path, one) for one in hidden):\n",
        "    if False and any(_within(path, one) for one in hidden):\n",
        ("tests/edge/functions/test_confining.py",),
    ),
    Mutant(
        "a confinement that nothing enforces is let in",
        "app/confine.py",
        '    if run in {"auto", "inline"}:\n',
        "    if run in ():\n",
        ("tests/app/test_refusals.py",),
    ),
    Mutant(
        "what a call in a worker leaves is applied although it raised",
        "edge/functions/worker.py",
        "            self.end(ask, begun, failure=failure_of(error))\n",
        "            self.succeed(ask, begun, effects, [], None)\n",
        ("tests/edge/functions/test_workers.py",),
    ),
    Mutant(
        "a table is made where one is already",
        "cloud/lake/storage.py",
        "            os.link(draft, path)\n",
        "            draft.replace(path), draft.touch()\n",
        ("tests/cloud/test_shares.py",),
    ),
    Mutant(
        "a second writer where the store excludes nobody",
        "cloud/lake/sole.py",
        "        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        ("tests/cloud/test_objects.py",),
    ),
    Mutant(
        "no ballast",
        "edge/outbox/ballast.py",
        "            self._path.unlink()\n",
        "            self._path.stat()\n",
        ("tests/edge/outbox/test_ballast.py",),
    ),
    Mutant(
        "erased rows come again",
        "cloud/ingest/core.py",
        "        return Rules(found) if found else None\n",
        "        return None\n",
        ("tests/cloud/test_erasing.py",),
    ),
    Mutant(
        "erased rows stay in older versions",
        "cloud/erasing/lake.py",
        "        retention_hours=0, ",
        "        retention_hours=48, ",
        ("tests/cloud/test_erasing.py",),
    ),
    Mutant(
        "erased rows are looked for after a restore",
        "cloud/erasing/lake.py",
        "        self._note(name, places)\n",
        "",
        ("tests/cloud/test_erasing.py",),
    ),
    Mutant(
        "copies in the outbox keep what was erased",
        "edge/outbox/erasing.py",
        "            rows[index] = blank(row)\n",
        "            rows[index] = row\n",
        ("tests/edge/outbox/test_blanking.py",),
    ),
    Mutant(
        "a recording has what its label withholds",
        "edge/recording/labels.py",
        "        return self._all or not names.isdisjoint(self._withheld)\n",
        "        return False\n",
        ("tests/edge/recording/test_recorder.py",),
    ),
    Mutant(
        "a label that the code of a function hides is not found out",
        "edge/recording/recorder.py",
        "                self._withhold()\n",
        "                pass\n",
        ("tests/edge/recording/test_recorder.py",),
    ),
    Mutant(
        "a recording has credentials",
        "edge/recording/recorder.py",
        "                    if name not in CREDENTIALS and not",
        "                    if not",
        ("tests/edge/recording/test_recorder.py",),
    ),
    Mutant(
        "a recording that is larger than it may be",
        "edge/recording/writing.py",
        "                self.full = True\n                break\n",
        "                self.full = True\n",
        ("tests/edge/recording/test_recorder.py",),
    ),
    Mutant(
        "rows that a restore brings back stay counted as expired",
        "cloud/ingest/returning.py",
        "            if taken := min(left, total):\n",
        "            if taken := 0:\n",
        ("tests/cloud/test_upkeep.py",),
    ),
    Mutant(
        "a lane that has expired begins at zero",
        "cloud/ingest/coverage.py",
        "            if end > (0, 0):\n",
        "            if end > (9, 9):\n",
        ("tests/cloud/test_upkeep.py",),
    ),
    Mutant(
        "a trace of any length",
        "cloud/ingest/batch.py",
        "        if trace and len(trace) != TRACE:\n",
        "        if trace and len(trace) > 999:\n",
        ("tests/cloud/test_batch.py",),
    ),
    Mutant(
        "what waits is what is left over",
        "cloud/ledger/accounting.py",
        "            waiting = sum(self._waits(lane, table) for lane in lanes)\n",
        "            waiting = max(0, forwarded - stored - dead - sum(causes.values()))\n",
        ("tests/console/test_ledger.py",),
    ),
    Mutant(
        "1970 makes a partition",
        "cloud/ingest/batch.py",
        '"_epoch": lane.epoch.counter, "_day": self._day,',
        '"_epoch": lane.epoch.counter, "_day": "1970-01-01",',
        ("tests/cloud/test_upkeep.py",),
    ),
    Mutant(
        "a report is measured by the tables of now",
        "cloud/ledger/accounting.py",
        "            None if one.at is None or one.lost else {lane.lane: lane.mark for lane in one.lanes},\n",
        "            None,\n",
        ("tests/cloud/test_reports.py",),
    ),
    Mutant(
        "nothing went with a lost disk",
        "cloud/ledger/accounting.py",
        "        high = low + max(1, ceil(account.rate * silent))\n",
        "        high = low\n",
        ("tests/console/test_ledger.py",),
    ),
    Mutant(
        "a clock below the latest time seen is believed",
        "edge/clock.py",
        "believed = trusted is None or wall >= trusted() - BEHIND",
        "believed = True",
        ("tests/edge/test_clock.py",),
    ),
    Mutant(
        "the quality of the clock is ignored",
        "edge/clock.py",
        'stamp = self._synced = replace(stamp, quality="synced", bound=error + SLACK)',
        "stamp = self._synced = replace(stamp, bound=error + SLACK)",
        ("tests/edge/test_clock.py",),
    ),
    Mutant(
        "a bound that does not grow with the distance",
        "cloud/lake/placing.py",
        "DRIFT = 500e-6",
        "DRIFT = 0.0",
        ("tests/cloud/test_placing.py",),
    ),
    Mutant(
        "a fault without an end",
        "observe/faults.py",
        "return self.since <= now < self.until",
        "return self.since <= now",
        ("tests/observe/test_faults.py",),
    ),
    Mutant(
        "a join string that opens twice",
        "cloud/control/enrolment.py",
        "            if burned is not None:\n",
        "            if burned is not None and burned_with == key_digest:\n",
        ("tests/cloud/test_enrolment.py",),
    ),
    Mutant(
        "a join string without an end",
        "cloud/control/enrolment.py",
        "            if now >= expires:\n",
        "            if now >= expires + (1 << 62):\n",
        ("tests/cloud/test_enrolment.py",),
    ),
    Mutant(
        "a node that may publish as any other",
        "cloud/bus.py",
        '"publish": {"allow": [f"up.{region}.{node}.>"]}',
        '"publish": {"allow": [f"up.{region}.>"]}',
        ("tests/e2e/test_nodes_apart.py",),
    ),
    Mutant(
        "a hub that is believed without its fingerprint",
        "edge/joining.py",
        " or _fingerprint(text) != self._string.authority",
        "",
        ("tests/e2e/test_nodes_apart.py",),
    ),
    Mutant(
        "ack before commit",
        "edge/outbox/shell.py",
        "        group.transactions.append((tx, done))\n",
        "        done, _ = None, done(None) if done else None\n"
        "        group.transactions.append((tx, done))\n",
        ("tests/edge/outbox/test_shell.py",),
    ),
    Mutant(
        "ack before commit, seen by a power cut",
        "edge/outbox/shell.py",
        "        group.transactions.append((tx, done))\n",
        "        done, _ = None, done(None) if done else None\n"
        "        group.transactions.append((tx, done))\n",
        ("tests/faults/test_powerloss.py",),
    ),
    Mutant(
        "synchronous=NORMAL",
        "edge/outbox/file.py",
        "pragma synchronous=full",
        "pragma synchronous=normal",
        ("tests/faults/test_powerloss.py",),
    ),
    Mutant(
        "release before return",
        "app/declarations.py",
        "        actions.append((topic, encode_payload(payload), qos, retain))\n",
        "        ground = getattr(current.get(), '_ground', None) or current.get().ground\n"
        "        ground.router.publish(topic, encode_payload(payload), qos, retain=retain)\n",
        ("tests/edge/dispatch/test_dispatcher.py",),
    ),
    Mutant(
        "forward before return",
        "edge/dispatch/call.py",
        "        self.forwards.append(forward_of(declared, values, self.source.origin()))\n",
        "        self.source.tx.forwards.append(forward_of(declared, values, self.source.origin()))\n",
        ("tests/edge/dispatch/test_dispatcher.py",),
    ),
    Mutant(
        "facts of a call that raised are kept",
        "edge/dispatch/lane.py",
        "        host.failing(plain.bound, work, error, times)\n",
        "        host.failing(plain.bound, work, error, times)\n"
        "        work.tx.forwards += [forward_of(fact, values, work.origin()) for fact, values in rows]\n",
        ("tests/edge/dispatch/test_dispatcher.py",),
    ),
    Mutant(
        "an earlier refusal outlives the failed commit",
        "edge/dispatch/work.py",
        '        self.refusal = Refusal("full", detail)',
        '        self.refusal = self.refusal or Refusal("full", detail)',
        ("tests/edge/dispatch/test_dispatcher.py",),
    ),
    Mutant(
        "what is to come again is kept",
        "edge/dispatch/closing.py",
        "        if work.comes_again:\n",
        "        if False:\n",
        ("tests/edge/dispatch/test_contract.py",),
    ),
    Mutant(
        "the gateway's refusal before its dead letter",
        "edge/gateways/mqtt/arrival.py",
        "if kept.done or not packet.qos:",
        "if True:",
        ("tests/edge/gateways/test_mqtt_gateway.py",),
    ),
    Mutant(
        "the epoch kept across starts",
        "edge/outbox/file.py",
        'epoch = Epoch(before + 1, int.from_bytes(os.urandom(4), "big"))',
        "epoch = Epoch(max(before, 1), 7)",
        ("tests/edge/outbox/test_core.py",),
    ),
    Mutant(
        "numbers kept after a failed commit",
        "edge/outbox/core.py",
        "enumerate(rows, self.stock.last(key) + 1):\n",
        "enumerate(rows, max(self.stock.last(key), vars(self).get('given', 0)) + 1):\n"
        "                self.given = seq\n",
        ("tests/edge/outbox/test_core.py",),
    ),
    Mutant(
        "the file written again after a failed fsync",
        "edge/outbox/shell.py",
        "in CLEAN:\n            self._full",
        "in CLEAN or True:\n            self._full",
        ("tests/edge/outbox/test_shell.py",),
    ),
    Mutant(
        "rows freed before keep_after_commit",
        "edge/outbox/freeing.py",
        "if chunk.at >= before and",
        "if False and chunk.at >= before and",
        ("tests/edge/outbox/test_core.py",),
    ),
    Mutant(
        "another disk's mark frees rows",
        "edge/outbox/core.py",
        " or self.nonces.get(mark.counter, 0) != mark.nonce",
        "",
        ("tests/edge/outbox/test_core.py",),
    ),
    Mutant(
        "critical rows are shed",
        "edge/outbox/room.py",
        "                if chunk.priority in classes:\n",
        "                if True:\n",
        ("tests/edge/outbox/test_room.py",),
    ),
    Mutant(
        "a loss without its record",
        "edge/outbox/room.py",
        "        change.lose(key, first, last, reason)\n",
        "        assert key\n",
        ("tests/edge/outbox/test_room.py",),
    ),
    Mutant(
        "a loss that nobody counts",
        "edge/outbox/stock.py",
        "        self.tallies[key[1], reason] += rows\n",
        "",
        ("tests/edge/outbox/test_room.py",),
    ),
    Mutant(
        "rows are shed while the lake has others",
        "edge/outbox/room.py",
        "        missing = self._free(change, missing)\n",
        "",
        ("tests/edge/outbox/test_room.py",),
    ),
    Mutant(
        "a jump of the clock expires rows",
        "edge/outbox/core.py",
        "        return self._ran + self._clock.stamp().at\n",
        "        return self._now()\n",
        ("tests/edge/outbox/test_room.py",),
    ),
    Mutant(
        "starts that were copied whole move",
        "edge/outbox/rekeying.py",
        "    others = {one for one, nonce in epochs.items() if known.nonces.get(one, nonce) != nonce}\n",
        "    others = {one for one in epochs if one in known.nonces}\n",
        ("tests/faults/test_forks.py", "tests/edge/outbox/test_rekeying.py"),
    ),
    Mutant(
        "rows of a start that the lake went past stay",
        "edge/outbox/rekeying.py",
        "known.left.get(lane, {}).get(counter, last)\n",
        "last\n",
        ("tests/faults/test_forks.py", "tests/edge/outbox/test_rekeying.py"),
    ),
    Mutant(
        "two copies give the same rows numbers of their own",
        "edge/outbox/rekeying.py",
        "            at = min((one for one in copies if (one, lane) not in stock.lanes), default=fresh)\n",
        "            at = fresh\n",
        ("tests/faults/test_forks.py", "tests/edge/outbox/test_rekeying.py"),
    ),
    Mutant(
        "what comes after a move is under a nonce that copies have",
        "edge/outbox/rekeying.py",
        'Epoch(top + 1, int.from_bytes(os.urandom(4), "big"))',
        "Epoch(top + 1, epochs[max(epochs)])",
        ("tests/edge/outbox/test_rekeying.py",),
    ),
    Mutant(
        "rows beside a copy's are replays",
        "cloud/ingest/judging.py",
        "            if counter < mark[0] and self._passed(lane, (counter, header.last)):\n"
        "                return Verdict.CLASH\n",
        "",
        ("tests/faults/test_forks.py", "tests/cloud/test_ingest.py"),
    ),
    Mutant(
        "a start follows rows that never came",
        "cloud/ingest/judging.py",
        "            if prior[0] < mark[0] and self._passed(lane, prior):\n",
        "            if False:\n",
        ("tests/faults/test_forks.py", "tests/cloud/test_ingest.py"),
    ),
    Mutant(
        "an early row is judged by an old snapshot",
        "cloud/ingest/core.py",
        "        if (work.early or work.foreign) and lake.look():",
        "        if False:",
        ("tests/cloud/test_ingest.py",),
    ),
    Mutant(
        "an older disk is welcome",
        "cloud/ingest/welcoming.py",
        "        if passed or any(",
        "        if any(",
        ("tests/cloud/test_welcoming.py",),
    ),
    Mutant(
        "whose rows are refused is not told",
        "cloud/ingest/welcoming.py",
        "        if passed or any(start in refused for start in hello.epochs):\n",
        "        if passed:\n",
        ("tests/cloud/test_welcoming.py",),
    ),
    Mutant(
        "a node is not told whose its starts are",
        "cloud/ingest/welcoming.py",
        "        return tuple(sorted(named.items()))\n",
        "        return ()\n",
        ("tests/cloud/test_welcoming.py",),
    ),
    Mutant(
        "a lane that moves in part keeps its numbers",
        "edge/outbox/rekeying.py",
        "        row.seq -= reached\n",
        "        pass\n",
        ("tests/edge/outbox/test_rekeying.py",),
    ),
    Mutant(
        "what a damaged outbox had is not said to be lost",
        "edge/outbox/salvage.py",
        "    for begin, end in _all_holes(fresh, key, start, last):\n",
        "    for begin, end in list[tuple[int, int]]():\n",
        ("tests/edge/outbox/test_damage.py",),
    ),
    Mutant(
        "a turned bit is sent",
        "edge/deep/reader.py",
        "        if head.damaged:\n",
        "        if False:\n",
        ("tests/edge/deep/test_reader.py",),
    ),
    Mutant(
        "delete on bus ack",
        "network/uplink.py",
        "        lane.acked = max(lane.acked, segment.end)\n",
        "        lane.acked = lane.mark = max(lane.mark, segment.end)\n",
        ("tests/network/test_uplink.py",),
    ),
    Mutant(
        "no attempt in a repeat",
        "network/lanes.py",
        "            self.attempt += 1\n",
        "",
        ("tests/network/test_uplink.py",),
    ),
    Mutant(
        "a lane's order broken by what was in flight",
        "network/uplink.py",
        "        lane.back_to(max(min(lane.sent, segment.begin), lane.mark))\n",
        "",
        ("tests/network/test_uplink.py",),
    ),
    Mutant(
        "the window not emptied with its connection",
        "network/uplink.py",
        "        self._flights.clear()\n        self._window.reset()\n",
        "        self._flights.clear()\n",
        ("tests/network/test_uplink.py",),
    ),
    Mutant(
        "no share for bulk",
        "network/turns.py",
        "                self._credit[one] += self._share * size\n",
        "                self._credit[one] += 0 * size\n",
        ("tests/network/test_uplink.py",),
    ),
    Mutant(
        "no debt in the bucket",
        "network/pace.py",
        "            self._level -= size\n",
        "            self._level = max(0.0, self._level - size)\n",
        ("tests/network/test_pace.py",),
    ),
    Mutant(
        "no fsync in ingest",
        "cloud/lake/syncing.py",
        "from rimward.observe.disk import sync\n",
        "\n\ndef sync(path: Path) -> None:\n    pass\n",
        ("tests/faults/test_powerloss.py",),
    ),
    Mutant(
        "folders not synced",
        "cloud/lake/syncing.py",
        "    for folder in dict.fromkeys(folders):\n        sync(folder)\n",
        "",
        ("tests/faults/test_powerloss.py",),
    ),
    Mutant(
        "a mark told of a commit that is not synced",
        "cloud/lake/durable.py",
        "        self._sync()\n        if application",
        "        if application",
        ("tests/cloud/test_ingest.py",),
    ),
    Mutant(
        "no compare",
        "cloud/ingest/judging.py",
        "(counter, header.last) <= mark:",
        "False:",
        ("tests/cloud/test_ingest.py",),
    ),
    Mutant(
        "no fsync in upkeep",
        "cloud/lake/tending.py",
        "        self._synced(handle.version(), self._syncer.sync)\n",
        "",
        ("tests/cloud/test_upkeep.py",),
    ),
    Mutant(
        "the log cleaned behind a checkpoint that is not synced",
        "cloud/lake/tending.py",
        "            self._synced(handle.version(), self._syncer.checkpoint)\n",
        "",
        ("tests/cloud/test_upkeep.py",),
    ),
    Mutant(
        "the count of expired rows not in the delete's commit",
        "cloud/lake/tending.py",
        "            commit_properties=CommitProperties(app_transactions=marks),\n",
        "",
        ("tests/cloud/test_upkeep.py",),
    ),
    Mutant(
        "no fence",
        "cloud/lake/durable.py",
        "        write_deltalake(\n            self.handle,\n            rows,",
        "        write_deltalake(\n            self._storage.uri(self._name),\n            rows,",
        ("tests/cloud/test_ingest.py",),
    ),
    Mutant(
        "no prior",
        "cloud/ingest/judging.py",
        " or not self._has(envelope, mark)",
        "",
        ("tests/cloud/test_ingest.py",),
    ),
    Mutant(
        "no nonce",
        "cloud/ingest/judging.py",
        "        if nonce not in (None, ANY, lane.epoch.nonce):\n            return Verdict.CLASH\n",
        "",
        ("tests/cloud/test_ingest.py",),
    ),
    Mutant(
        "a lane's envelopes out of their order",
        "cloud/ingest/queueing.py",
        "arrival = waiting.popleft()",
        "arrival = waiting.pop()",
        ("tests/cloud/test_queueing.py",),
    ),
    Mutant(
        "a backlog stands on the bus",
        "network/lanes.py",
        "return LONG_AGO if self.standing < most else NEVER",
        "return LONG_AGO",
        ("tests/network/test_standing.py",),
    ),
    Mutant(
        "off the bus before the commit",
        "cloud/ingest/taking.py",
        "        async with self._turn:\n            allowed = [",
        "        for arrival in arrivals:\n            await arrival.message.ack()\n"
        "        async with self._turn:\n            allowed = [",
        ("tests/cloud/test_hub.py",),
    ),
    Mutant(
        "marks of rows that a restore took back",
        "cloud/ingest/opened.py",
        "                    self._lower(fact)\n",
        "                    pass\n",
        ("tests/cloud/test_restores.py",),
    ),
    Mutant(
        "generation not raised",
        "cloud/ingest/opened.py",
        "min(max(self.generations.current, floor) + 1, GENERATIONS_MOST)",
        "self.generations.current",
        ("tests/cloud/test_restores.py",),
    ),
    Mutant(
        "rows that a restore left are doubled",
        "cloud/ingest/core.py",
        "        if (lane.epoch.counter, first) <= high:\n",
        "        if False:\n",
        ("tests/cloud/test_restores.py",),
    ),
    Mutant(
        "a restore that the commit after it does not see",
        "cloud/lake/durable.py",
        'and operation_of(entry) == "RESTORE":',
        "and False:",
        ("tests/cloud/test_restores.py",),
    ),
    Mutant(
        "a value cast to its column's type",
        "cloud/ingest/forms.py",
        '"int64": int,',
        '"int64": int | float,',
        ("tests/cloud/test_batch.py",),
    ),
    Mutant(
        "a cloud function's offset committed apart from its effects",
        "cloud/functions/journal.py",
        "            self._move(unit)\n",
        "            self._move(unit)\n            self.db.execute('commit')\n"
        "            reach('functions.committed')\n            self.db.execute('begin immediate')\n",
        ("tests/cloud/test_functions.py",),
    ),
    Mutant(
        "two workers and no fence",
        "cloud/functions/journal.py",
        'if self.db.execute("select token from fence").fetchone()[0] != self._token:',
        "if False:",
        ("tests/cloud/test_functions.py",),
    ),
    Mutant(
        "an offset that is not compared",
        "cloud/functions/journal.py",
        "if self.offset(unit.function) != unit.before:",
        "if False:",
        ("tests/cloud/test_functions.py",),
    ),
    Mutant(
        "an event behind one that failed overtakes it",
        "cloud/functions/running.py",
        "        if self._waiting.get(key):\n",
        "        if False:\n",
        ("tests/cloud/test_functions.py",),
    ),
    Mutant(
        "rows of a restored lake run their functions again",
        "cloud/functions/running.py",
        'return version_of(row) <= self._place(row["_node"], row["_lane"])',
        "return False",
        ("tests/cloud/test_functions.py",),
    ),
    Mutant(
        "forwards of functions numbered anew at each try",
        "cloud/functions/forwarding.py",
        "return seq if counter == epoch.counter else 0",
        "return 0",
        ("tests/cloud/test_functions.py",),
    ),
    Mutant(
        "a command whose key is not on disk when it leaves",
        "edge/commands/executor.py",
        "        self._append([Put(SPACE, command.key, msgspec.msgpack.encode(kept))], None, landed)\n\n"
        "    def _send",
        "        landed(None)\n\n    def _send",
        ("tests/testing/test_commands.py",),
    ),
    Mutant(
        "a command sent again after a crash",
        "edge/commands/executor.py",
        "if command.key in self._left and not command.idempotent:",
        "if False:",
        ("tests/testing/test_commands.py",),
    ),
    Mutant(
        "a command done while nobody knows the time",
        "edge/commands/executor.py",
        "if now is None and not command.idempotent:",
        "if False:",
        ("tests/testing/test_commands.py",),
    ),
    Mutant(
        "a command in doubt given to a replaced store",
        "cloud/commands/desk.py",
        "known[0] == store:",
        "True:",
        ("tests/cloud/test_commands.py",),
    ),
    Mutant(
        "a window that finds no room is forgotten",
        "edge/dispatch/feeding.py",
        "self._hold(key, waiting[index:])",
        "pass",
        ("tests/edge/dispatch/test_keys.py",),
    ),
    Mutant(
        "a stream's key is not written with the commit",
        "edge/dispatch/keys.py",
        """self._store.touch(self.space, key.text, key.encode)
        due = key.due()
        if due + SLACK""",
        """due = key.due()
        if due + SLACK""",
        ("tests/edge/dispatch/test_keys.py",),
    ),
    Mutant(
        "keys that are on disk alone are never looked at",
        "edge/dispatch/keys.py",
        "if self._cold_due <= now:",
        "if False:",
        ("tests/edge/dispatch/test_keys.py",),
    ),
    Mutant(
        "events late for a window open it anew",
        "streams/tumbling.py",
        "if start + self._size <= self._watermark.value:",
        "if False:",
        ("tests/streams/test_tumbling.py", "tests/testing/test_streams.py"),
    ),
    Mutant(
        "a component's calls have no deadline",
        "edge/functions/wasm/deadline.py",
        "elif self._since == since:",
        "elif False:",
        ("tests/edge/functions/test_components.py", "tests/edge/functions/test_wasm.py"),
    ),
    Mutant(
        "an instance takes all the memory that it asks for",
        "edge/functions/wasm/engine.py",
        "set_limits(memory_size=memory, ",
        "set_limits(",
        ("tests/edge/functions/test_components.py",),
    ),
    Mutant(
        "an instance that a call has broken is called again",
        "edge/functions/wasm/cage.py",
        "                self._cell = None\n                interrupted",
        "                interrupted",
        ("tests/edge/functions/test_wasm.py",),
    ),
    Mutant(
        "compiled code is loaded from where others can write",
        "edge/functions/wasm/cache.py",
        "stat.S_IMODE(found.st_mode) & 0o022",
        "False",
        ("tests/edge/functions/test_components.py",),
    ),
)


def survives(mutant: Mutant) -> str | None:
    """Try one mutant; return what is wrong, or None where a test turned red."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        file = source / "rimward" / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            return f"its text is {text.count(mutant.old)} times in {mutant.file}"
        file.write_text(text.replace(mutant.old, mutant.new))
        path = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, timeout=LIMIT,
                check=False, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    if done.returncode == 1 and " failed" in done.stdout:
        return None
    return "no test turned red" if done.returncode == 0 else done.stdout[-2000:] + done.stderr[-2000:]


def main(arguments: list[str]) -> int:
    """Try all mutants, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants")
    parser.add_argument("names", nargs="*", help="parts of names; all without any")
    wanted = parser.parse_args(arguments).names
    alive = 0
    for mutant in MUTANTS:
        if wanted and not any(name in mutant.name for name in wanted):
            continue
        started = time.monotonic()
        problem = survives(mutant)
        alive += problem is not None
        verdict = "killed" if problem is None else f"SURVIVED: {problem}"
        print(f"{mutant.name:50} {time.monotonic() - started:5.1f} s  {verdict}", flush=True)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
