"""A model that others exported to ONNX: what it takes and answers, and the served graph around it."""
