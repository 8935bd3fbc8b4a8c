"""Places to swap and to borrow within a transaction."""
