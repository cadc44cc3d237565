"""The algorithms: pure functions and records over the standard library, numpy and scipy."""
