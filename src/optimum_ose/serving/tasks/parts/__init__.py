"""What served tasks share."""
