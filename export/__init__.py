"""From a PyTorch network to a proven ONNX graph that takes pixels and gives answers."""
