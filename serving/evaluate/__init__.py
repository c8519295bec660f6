"""Judging a model on labelled images."""
