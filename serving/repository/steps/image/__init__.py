"""The step from encoded images to pixels."""
