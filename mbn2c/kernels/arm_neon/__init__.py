"""64-bit Arm with Advanced SIMD: node -> kernel, packed constants, rates."""
