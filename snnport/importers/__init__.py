"""Readers of file formats, each into the canonical graph."""
