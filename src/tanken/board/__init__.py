"""What processors are plugged into: memory, buses, interrupts, one clock, and devices; a board knows no processor.

`device` states what a device is and which protocols it consumes; `devices/` holds one device a file, its registers in the `.regs` table beside it.
"""
