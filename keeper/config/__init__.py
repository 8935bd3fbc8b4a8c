"""Settings and protocol files."""
