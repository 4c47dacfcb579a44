"""CFF fonts: reading, running, verifying and drawing the programs that their glyphs are.

OpenType Specification 1.9.1; Adobe Technical Notes 5176 (CFF) and 5177 (Type 2 charstrings).
"""
