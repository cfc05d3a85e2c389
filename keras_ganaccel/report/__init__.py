"""What a run found: the ledger of its figures, plots, and the report that people read."""
