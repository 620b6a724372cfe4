"""What the benchmarks of devices share: servers, peers, load clients, pinned processes, samples."""
