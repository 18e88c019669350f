"""What operators share: the protocol, weights and requantization, ONNX spellings."""
