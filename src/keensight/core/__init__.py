"""The cellar: records, settings, pixels and files. Standard library, numpy and Pillow only."""
