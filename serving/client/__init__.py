"""The client: images in, typed results out, over gRPC, HTTP or shared memory.

`sync.py` and `aio.py` are the two shells that wait; `core.py` decides everything else and never waits.
"""
