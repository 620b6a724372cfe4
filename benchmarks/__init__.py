"""Measurements beside peers: `./dev bench NAME`."""
