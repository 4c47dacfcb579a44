"""The devices of a PC, one a file, each with its registers in a `.regs` table; a device knows an offset and a size, never its own address."""
