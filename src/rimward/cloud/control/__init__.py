"""Who belongs to the hub: join strings, nodes and their keys, and what the bus lets each of them do."""
