"""Benchmarks, each a paired comparison with its hardware and versions; none gates anything."""
