"""Arithmetic on blocks of bytes: compression, codes and checksums that several parts share.

Each file names its own specification.
"""
