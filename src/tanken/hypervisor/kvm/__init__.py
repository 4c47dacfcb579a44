"""The vcpu on Linux's KVM, by ioctls through ctypes; no library in between."""
