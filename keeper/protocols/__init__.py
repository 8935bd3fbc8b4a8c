"""One folder per lending protocol: rules, codec, adapter."""
