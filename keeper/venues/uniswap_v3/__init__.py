"""Uniswap V3: the pools' own arithmetic, their state at a block, and quotes from it."""
