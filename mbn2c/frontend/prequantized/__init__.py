"""Quantized ONNX file (QDQ or QOperator) -> int8 Graph with the file's own scales and zero points."""
