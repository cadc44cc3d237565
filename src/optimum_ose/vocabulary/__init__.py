"""Smaller vocabularies: tokens counted in a corpus, tokenizers with some of them, token tables with as many rows."""
