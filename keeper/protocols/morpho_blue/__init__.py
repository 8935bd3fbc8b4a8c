"""Morpho Blue: isolated markets of one collateral and one loan token, and pre-liquidation."""
