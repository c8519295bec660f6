"""What stands before Triton's HTTP: a process of its own, which refuses what would harm the server and
forwards the rest.
"""
