"""Functions that run elsewhere than on the loop, and what decides that."""
