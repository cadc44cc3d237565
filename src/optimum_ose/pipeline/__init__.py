"""OSEOptimizer, and the stages of a run in one folder."""
