"""Ways to hand a signed transaction to the chain. Modes are lanes, not branches."""
