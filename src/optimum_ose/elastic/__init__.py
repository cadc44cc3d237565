"""One training for all candidates of a search: each is a view of the same shared weights."""
