"""Agora around a stock Trainer: pool, collator, callback, labeling and token perturbation."""
