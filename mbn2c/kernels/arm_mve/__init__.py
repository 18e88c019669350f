"""Cores with Helium (Cortex-M55): node -> kernel, packed constants, rates."""
