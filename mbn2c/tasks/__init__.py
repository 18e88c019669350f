"""What a network is for: its samples, its preprocessing, its labels. No ONNX, no Graph, no device in here."""
