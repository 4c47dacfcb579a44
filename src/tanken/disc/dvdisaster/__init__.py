"""dvdisaster's error correction data: RS01 files, RS02 and RS03 images and RS03 files, written, checked and used to repair.

"dvdisaster codec specifications" (C. Gnörlich; the document that comes with dvdisaster 0.79): header, CRC block, layouts, RS(255,k) in field 0x187.
"""
