"""The journal and the books."""
