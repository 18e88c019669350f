"""Cortex-M0 and M0+ (Armv6-M): node -> kernel, packed constants, rates."""
