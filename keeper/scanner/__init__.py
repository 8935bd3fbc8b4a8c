"""Finds the accounts under the line."""
