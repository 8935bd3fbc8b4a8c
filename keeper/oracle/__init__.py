"""Follows the prices that protocols read, and guards against bad ones."""
