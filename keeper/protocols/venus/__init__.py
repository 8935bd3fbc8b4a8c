"""Venus: a fork of Compound V2 with thresholds, pools, a Liquidator of its own, and VAI.

What it adds is told on chain by its Comptroller and read by ``compound_v2`` where it is there.
"""
