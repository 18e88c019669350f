"""Cortex-M3 (Armv7-M without DSP): node -> kernel, packed constants, rates."""
