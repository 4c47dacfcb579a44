"""What a person sees when looking into code: listings of objects and of Oopses.

Text follows GNU objdump 2.40, see docs/dis.md.
"""
