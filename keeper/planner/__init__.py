"""Turns an opportunity into the most profitable plan, or a rejection."""
