"""The processor as an operating system sees it: control registers, segments, exceptions, privilege, in real, protected and long mode.

Order of reading: `state`, `core`, `descriptors`, `events`, `transfer`, `control`, `msr`, then `execution` and `instructions`, which join
them to the semantics that user programs share. Not done: virtual-8086 mode, hardware task switches, alignment checks, SMM.
"""
