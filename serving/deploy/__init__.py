"""What is made for a server before it starts: a snapshot of a model repository, with engines for its GPU."""
