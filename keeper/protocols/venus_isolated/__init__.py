"""Venus's isolated pools: Comptrollers of a registry, each with markets of its own.

They are of Compound's family in their interest and their cTokens, and unlike it in what they
refuse: by custom errors, and below a least collateral all but whole accounts, liquidated or healed.
"""
