"""The ledger's cloud side: what is stored, and what nodes report."""
