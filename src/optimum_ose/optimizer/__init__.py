"""OSEOptimizer, the verbs of one teacher, and the stages of a run in one folder."""
