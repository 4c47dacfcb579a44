"""The native engine: guest instructions become copies of stencils that LLVM made from their semantics."""
