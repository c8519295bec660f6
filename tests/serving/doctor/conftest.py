"""Stand-ins for what this machine lacks."""

from tests.serving.stand_ins import modules, programs

__all__ = ["modules", "programs"]
