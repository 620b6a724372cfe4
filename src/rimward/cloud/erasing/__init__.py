"""Erasure: what is to be forgotten is found and taken away wherever the hub has it, for good."""
