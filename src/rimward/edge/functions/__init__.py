"""Functions outside the I/O process: a zygote, the workers that it forks, and what they may do."""
