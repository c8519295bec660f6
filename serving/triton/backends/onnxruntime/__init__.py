"""Triton's `onnxruntime` backend over pip's ONNX Runtime."""
