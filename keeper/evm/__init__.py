"""Pure codecs of the EVM: ABI, programs, transactions, revert reasons."""
