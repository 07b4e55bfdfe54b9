"""Faults on demand: what there is, how it is written, whom it strikes. No I/O."""
