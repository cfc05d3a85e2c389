"""Tables: rows of typed columns."""
