"""Heads that turn a backbone's feature maps into class scores per pixel."""
