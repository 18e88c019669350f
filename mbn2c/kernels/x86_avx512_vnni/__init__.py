"""x86-64 with AVX-512 and VNNI: node -> kernel, packed constants, rates."""
