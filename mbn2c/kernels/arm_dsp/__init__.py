"""Cores with the DSP extension (Cortex-M4, M7, M33): node -> kernel, packed constants, rates."""
