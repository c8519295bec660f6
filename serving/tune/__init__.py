"""The tuner: which way to serve a model answers most images within a limit of latency, on this machine."""
