"""The server-side step from encoded images to pixels."""
