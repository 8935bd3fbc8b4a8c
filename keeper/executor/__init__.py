"""Judges, simulates, journals, signs, sends and follows plans."""
