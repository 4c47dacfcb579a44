"""Speed of the disc's codes against reedsolo, galois and dvdisaster.

`python -m benchmarks.disc`.
"""
