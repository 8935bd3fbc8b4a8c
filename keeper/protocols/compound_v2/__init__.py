"""Compound V2 and its forks: pooled markets with exchange rates and error codes."""
