"""64-bit Arm with the dot product instructions: node -> kernel, packed constants, rates."""
