"""What tasks are made of: what rows hold, and what an answer is, one file for each kind."""
