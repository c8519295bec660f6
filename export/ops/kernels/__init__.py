"""Kernels of the operators for ONNX Runtime on x86-64 processors, in C++: see `library`."""

from regard.export.ops.kernels.build import library

__all__ = ["library"]
