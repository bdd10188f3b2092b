"""Room of the disk: runs and bundles."""
