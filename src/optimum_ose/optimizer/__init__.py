"""A teacher and its task, and the verbs that make a student of it."""
