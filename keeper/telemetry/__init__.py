"""Logging and other ways to be watched."""
