"""Owns the tables that `search.py` prints, and the verdict on its promises."""

def summarize(rows):
    print(len(rows)); return 0
