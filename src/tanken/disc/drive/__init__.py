"""Drives: commands of several families as tables of bytes, sent to a device, a simulated drive or a recorded log.

SCSI Multimedia Commands (MMC-6) and vendors' commands as public tools use them; untried on hardware: none was at hand.
"""
