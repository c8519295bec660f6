"""LocalWeights: what it is, and its kernel."""
