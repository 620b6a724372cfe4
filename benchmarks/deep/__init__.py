"""The deep path: outbox, uplink, ingest and lake, each by itself and as one."""
