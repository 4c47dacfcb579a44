"""Virtual processors and why they stop: the vcpu contract, exits as values, the vcpu on KVM, emulation of what a device access meant.

Order of reading: `exits` (with its table), `vcpu`, `view`, `mmio`, `prepared`, `kvm/abi`, `kvm/system`, `kvm/vcpu`, `coalescing`, `apic_page`, `own`, `lockstep`.
"""
