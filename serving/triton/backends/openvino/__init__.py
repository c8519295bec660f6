"""Triton's `openvino` backend over pip's OpenVINO."""
