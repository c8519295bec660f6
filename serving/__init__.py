"""Model repository, embedded Triton, client, benchmark and command line."""
