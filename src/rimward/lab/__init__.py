"""Trying a network before one has it: an emulator of wide-area links between real processes."""
