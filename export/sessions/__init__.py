"""Graphs that are ready to run in this process, by ONNX Runtime or OpenVINO, on the CPU."""
