"""Charstrings: the programs that glyphs of CFF and CFF2 fonts are, for a machine with two stacks.

Adobe Technical Note 5177 (The Type 2 Charstring Format, 16 March 2000); OpenType 1.9.1, CFF2 CharString Format.
"""
