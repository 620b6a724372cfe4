"""HTTP/1.1 without I/O: the server's side of a connection."""

from rimward.protocols.http.errors import HttpError
from rimward.protocols.http.events import EVENT_STREAM
from rimward.protocols.http.requests import HttpRequest, Limits
from rimward.protocols.http.responses import PROBLEM, problem
from rimward.protocols.http.session import HttpSession

__all__ = ["EVENT_STREAM", "PROBLEM", "HttpError", "HttpRequest", "HttpSession", "Limits", "problem"]
