"""Dispatch: from a message to its functions and back, in one tick. The seam to the deep path is `append`."""

from rimward.edge.dispatch.dispatcher import Dispatcher
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.ports import Clocks
from rimward.edge.dispatch.tracing import Tracing

__all__ = ["Clocks", "Dispatcher", "FunctionRun", "Tracing"]
