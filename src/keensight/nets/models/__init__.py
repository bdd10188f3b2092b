"""Architectures: built by name, with or without pretrained weights."""
