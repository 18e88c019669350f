"""RISC-V RV32IM: node -> kernel, packed constants, rates."""
