"""The DVD's channel: data frames, ECC blocks, recording frames and 8-16 modulation, each encoded and decoded.

ECMA-267 (120 mm DVD - Read-Only Disk), sections 16 to 21.
"""
