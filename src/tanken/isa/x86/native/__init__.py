"""x86-64 as the native engine is handed it: the state block, instructions with open operands, flags and floats in the host's own words."""
