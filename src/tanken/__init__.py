"""tanken: an open machine lab; every part of a computer as readable Python.

Importing the package imports nothing else: the parts are reached as `tanken.isa`, `tanken.elf`, and so on.
"""

__version__ = "0.1.0"
