"""Python-based backends, one folder each: what NVIDIA's container has in C++ and the binary from PyPI lacks.

Each `<name>/model.py` is copied into the embedded server's private backend directory and run there by its
Python stub.
"""
