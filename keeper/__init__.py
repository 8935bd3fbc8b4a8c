"""Keeper: liquidates under-collateralised loans on DeFi lending protocols."""

__version__ = "0.1.0"
