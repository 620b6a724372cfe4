"""Functions: what a call costs on the loop and in a process of its own, and what one does to the others."""
