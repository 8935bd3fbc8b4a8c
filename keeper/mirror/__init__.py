"""Holds every loan as the chain does: logs say who changed, reads say what is."""
