"""Keyed state: a million cells, what they take of memory and of a start, and what a call on one costs."""
