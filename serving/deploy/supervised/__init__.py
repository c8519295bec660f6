"""One of the two servers of a deployment, as its container's process: it serves what colours.json says, tells
how that goes on a port of its own, and ends with 1 where only a new container helps.
"""
