"""Optical discs: channels and codes of DVD and CD both ways, error measurement down to the symbol, maps, history, repair, drives.

Each file names its own standard: ECMA-267, 337, 338, 349 (DVD), IEC 60908 and ECMA-130 (CD).
"""
