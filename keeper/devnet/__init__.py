"""A local market of real contracts, for the demo, rehearsal, benchmarks and tests."""
