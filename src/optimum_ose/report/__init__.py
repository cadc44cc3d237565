"""Records -> text, plot and card."""
