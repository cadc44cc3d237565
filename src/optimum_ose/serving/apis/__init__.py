"""The endpoints of the server, one file for each API that clients speak."""
