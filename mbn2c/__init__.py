"""mbn2c: trained MobileNets (ONNX) to bit-exact int8 C for microcontrollers."""

__version__ = "0.1.0"
