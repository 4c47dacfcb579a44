"""A Linux-compatible kernel as one host process: enough of it for x86-64 programs with one thread, such as Debian's busybox, bash and python3.

The specification is the Linux system call ABI for x86-64 (man-pages sections 2 and 7, the System V ABI's AMD64 supplement); docs/vkernel.md
says which calls are handed to the host.
"""
