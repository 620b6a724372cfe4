"""How many connections the process's file descriptors allow.

Where they run out, connections wait unanswered in the kernel and the node's own files can't be opened; so
each gateway keeps to its share, and says no to what is beyond.
"""

import resource

RESERVE = 64  # descriptors for the node's own files and pipes, and for peers that are told no


def allowed(wanted: int, share: float) -> int:
    """Return how many connections a gateway takes of those that it is configured for.

    The soft limit is raised towards the hard one where that is needed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = int(wanted / share) + RESERVE
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, int((soft - RESERVE) * share)))
