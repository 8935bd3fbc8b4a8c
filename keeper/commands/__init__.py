"""What a user types, one module a command. Results on stdout, everything else on stderr."""
