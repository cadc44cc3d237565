"""What people call metrics."""

_NAMES = {
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
    "f1": "F1",
    "f1_a": "F1 over all answers (F1a)",
    "f1_m": "F1 of each question (F1m)",
    "matthews_correlation": "Matthews correlation",
    "ndcg_at_10": "nDCG@10",
    "mrr_at_10": "MRR@10",
    "spearman": "Spearman's correlation",
    "pearson": "Pearson's correlation",
}
"""Metric -> its name for people, where that is another one than its own with spaces."""


def metric_label(name: str) -> str:
    """What people call a metric."""
    return _NAMES.get(name, name.replace("_", " "))
