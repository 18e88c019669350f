"""What a network is for: its samples and labels, and its task: what its outputs mean. No ONNX, no device in here."""
