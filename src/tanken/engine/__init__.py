"""Engines run any instruction set; the guest's memory is `engine.memory`."""
