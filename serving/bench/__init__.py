"""The benchmark: load generation, statistics, Triton's own times, in-process baselines and the report."""
