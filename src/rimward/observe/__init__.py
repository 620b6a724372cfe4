"""What a process measures of itself: histograms, kept traces, snapshots and logs, cheap on the fast path."""

from rimward.observe.histogram import Histogram
from rimward.observe.logs import Logger, configure, get_logger
from rimward.observe.readers import AmbiguousTrace, read_snapshot, read_trace, recent_traces
from rimward.observe.recorder import Recorder
from rimward.observe.records import Firings, FunctionStats, RowRef, Snapshot, Stage, Trace, WorkerStats
from rimward.observe.ring import Ring

__all__ = [
    "AmbiguousTrace",
    "Firings",
    "FunctionStats",
    "Histogram",
    "Logger",
    "Recorder",
    "Ring",
    "RowRef",
    "Snapshot",
    "Stage",
    "Trace",
    "WorkerStats",
    "configure",
    "get_logger",
    "read_snapshot",
    "read_trace",
    "recent_traces",
]
