"""Student to files: ONNX export, dynamic quantization, parity and latency."""
