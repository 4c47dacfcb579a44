"""The CD's channel: sectors, CIRC, frames, subcode and eight-to-fourteen modulation, each encoded and decoded.

IEC 60908 (Compact disc digital audio system) and ECMA-130 (CD-ROM).
"""
