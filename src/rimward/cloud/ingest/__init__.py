"""Ingest: envelopes off the bus, one Delta commit a table, marks; several processes by lease."""
