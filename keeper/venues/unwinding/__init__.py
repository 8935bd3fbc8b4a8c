"""Tokens that no pool trades, redeemed for what they stand for."""
