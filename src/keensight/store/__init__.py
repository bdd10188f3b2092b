"""Files on disk: runs and bundles."""
