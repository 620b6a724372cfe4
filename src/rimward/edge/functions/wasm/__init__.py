"""Functions in WebAssembly: components built, compiled ahead of time, and called by JSON in a worker."""
