"""Teacher -> student: losses, the Accelerate loop, and the short runs that are the real error of the search."""
