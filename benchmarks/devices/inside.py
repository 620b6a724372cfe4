"""What is measured without sockets: a topic's subscribers found among many, an event's figures kept.

Times are this thread's CPU time: what else runs on the machine takes no part.
"""

import random
import time
from statistics import median

from rimward.edge.dispatch.functions import Figures
from rimward.observe import Ring
from rimward.protocols.mqtt.subscriptions import Options, Subscriptions

SUBSCRIPTIONS = 100_000
BATCH = 200  # topics matched between two looks at the clock


def match_us(rounds: int) -> list[float]:
    """Return for each round the median time, us, of one topic's match among 100,000 subscriptions.

    Six of ten name one device's topic, three have a `+`, one a `#`; nothing is remembered between two topics.
    """
    tree: Subscriptions[int] = Subscriptions()
    for number in range(SUBSCRIPTIONS):
        hall, device = number % 97, number
        kind = number % 10
        if kind < 6:
            topic_filter = f"site/{hall}/device/{device}/temperature"
        elif kind < 9:
            topic_filter = f"site/{hall}/device/{device}/+"
        else:
            topic_filter = f"site/{hall}/device/{device}/#"
        tree.add(topic_filter, number, Options(qos=1))
    chosen = random.Random(5)
    topics = [
        f"site/{n % 97}/device/{n}/temperature" for n in chosen.sample(range(SUBSCRIPTIONS), 20 * BATCH)
    ]
    for topic in topics[::50]:
        assert len(tree.match(topic).deliveries) == 1
    return [median(_batch_us(tree, topics, at) for at in range(0, len(topics), BATCH)) for _ in range(rounds)]


def _batch_us(tree: Subscriptions[int], topics: list[str], at: int) -> float:
    batch = topics[at : at + BATCH]
    begun = time.thread_time_ns()
    for topic in batch:
        tree.match(topic)
    return (time.thread_time_ns() - begun) / BATCH / 1e3


def telemetry_us(rounds: int) -> list[float]:
    """Return for each round what an event's figures cost, us: two clock reads, span, all histograms."""
    return [median(_figures_us(2_000) for _ in range(20)) for _ in range(rounds)]


def _figures_us(events: int) -> float:
    figures, add, clock = Figures(0.005), Ring(1024).add, time.monotonic_ns
    start = time.thread_time_ns()
    read_at, decode, function = clock(), 2_000, 1_500  # ns: as they are on a busy node
    for number in range(1, events + 1):
        figures.alone = number
        clock()
        begun = read_at + decode
        clock()
        ended = begun + function
        span = ("guard", read_at, begun, ended)
        add(span)
        figures.take(span)
        if ended >= figures.sample_at or ended - read_at > figures.limit or not number % 1024:
            figures.keeps(read_at, ended)
        read_at = ended
    figures.count()
    return (time.thread_time_ns() - start) / events / 1e3
