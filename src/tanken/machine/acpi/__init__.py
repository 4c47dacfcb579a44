"""The ACPI tables of a PC, generated from what it has; AML included."""
