"""Instruction sets, each from its own opcode map; what an engine asks of one stands in `architecture`."""
