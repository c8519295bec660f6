"""Speaking to a Triton server over gRPC or HTTP: one stack for the client, the benchmark and the canary.

`connect.py` gives a connection to an address. What passes over it is in `wire.py`; a codec for each protocol
turns that into bytes; what goes wrong has its words in `unanswered.py` and `explain.py`.
"""
