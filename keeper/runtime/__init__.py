"""Concurrency pieces without a domain: mailbox, supervisor, clock."""
