"""Benchmarks, each held against what it competes with in one interleaved run."""
