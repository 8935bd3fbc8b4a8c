"""Uniswap V2 and its forks: the pairs' own arithmetic, their reserves, and quotes from them."""
