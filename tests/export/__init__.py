"""A package, for the benchmark of the same name is on the path too."""
