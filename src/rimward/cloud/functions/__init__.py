"""Cloud functions: their worker, what they commit, and what they forward."""
