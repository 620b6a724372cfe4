"""Functions that run elsewhere than on the loop: their workers, what these may do, and what decides that."""
