"""One model of identity and authorisation for all gateways: who somebody is, and what it may do.

A gateway asks `Access.identify` once a connection (HTTP: once a request) and `Access.may` where a route, a
session or a subscription is made; nothing here is on the way of a single message. `access.py` has the
interface, `file.py` the access file, docs/access.md the whole.
"""

from rimward.edge.access.access import Access
from rimward.edge.access.errors import AccessError
from rimward.edge.access.grants import Action, Patterns
from rimward.edge.access.identity import (
    DENIALS,
    Badge,
    Credentials,
    Denial,
    DenialKind,
    Identity,
    Pending,
)
from rimward.edge.access.opening import Watch, open_access

__all__ = [
    "DENIALS",
    "Access",
    "AccessError",
    "Action",
    "Badge",
    "Credentials",
    "Denial",
    "DenialKind",
    "Identity",
    "Patterns",
    "Pending",
    "Watch",
    "open_access",
]
