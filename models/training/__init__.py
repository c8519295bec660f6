"""A small trainer: a recipe in, safetensors with a Card out."""
