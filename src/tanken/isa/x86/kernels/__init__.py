"""The decoder and the texts as kernels: functions over bytes, table arrays and rows of columns, run as plain Python and compiled by Numba from one source.

Order of reading: `fields`, `prefixes`, `encoded`, `address`, `decoder` make the row; `letters`, `places`, `names`, `operands`, `strange`, `text` print it.
"""

DECODER = ("tanken.base.wide", *(f"{__name__}.{name}" for name in ("fields", "prefixes", "encoded", "address", "decoder")))
TEXT = (*DECODER, *(f"{__name__}.{name}" for name in ("letters", "places", "names", "operands", "strange", "text")))
