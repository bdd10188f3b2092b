"""Models in other formats: one serving graph, and a module for each format."""
