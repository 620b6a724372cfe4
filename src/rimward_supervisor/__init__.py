"""Starts, watches and restarts the processes of a node or of a laptop's four layers. Standard library only.

It binds the listeners itself, so that a process that is restarted keeps its port and connecting devices queue
instead of being refused. It knows nothing about Rimward: a JSON file says what to run.
"""
