"""Reaches the node: transport, batched pinned reads, heads, logs, fees, anvil."""
