"""TensorRT engines: built from a graph in a process of their own, held to the precision that was asked for,
and run where there is a GPU.

One builder for `tensorrt` and `tensorrt_rtx`, which share their API; neither is imported before it is used.
"""
