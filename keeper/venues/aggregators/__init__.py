"""Aggregators: others who offer to swap, and what is checked before an offer is believed."""
