"""How the small networks of each family were trained: a module for a family, run with `python -m`."""
