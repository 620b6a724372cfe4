"""Layer 1: a device's client, and devices that replay recordings or simulate a cold chain."""
