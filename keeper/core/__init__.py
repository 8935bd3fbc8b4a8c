"""The vocabulary of Keeper: values, errors and ports. No I/O, no framework."""
