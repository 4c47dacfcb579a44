"""Whole computers, composed from a board and a vcpu: the PC, how kernels are put into it, its main loop, what its exits cost.

Order of reading: `description`, `pc`, `acpi/`, `boot/`, `console`, `loop`, `report`.
"""
