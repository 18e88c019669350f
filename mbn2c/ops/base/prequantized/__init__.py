"""What operators share that read nodes of already quantized models: values, questions to ONNX Runtime, layers."""
