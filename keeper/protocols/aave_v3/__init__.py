"""Aave V3 and its forks, from 3.0 to 3.7."""
