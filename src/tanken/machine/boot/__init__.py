"""How a kernel is put into a PC's memory and entered: Linux's 64-bit entry of a bzImage, and PVH of an ELF file."""
