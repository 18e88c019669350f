"""Kernels for x86-64 with AVX2."""
