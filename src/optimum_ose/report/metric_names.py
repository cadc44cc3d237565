"""What people call metrics."""

_NAMES = {
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
    "f1": "F1",
    "f1_a": "F1 over all answers (F1a)",
    "f1_m": "F1 of each question (F1m)",
    "matthews_correlation": "Matthews correlation",
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_100": "recall@100",
    "mrr_at_10": "MRR@10",
    "chrf": "chrF",
    "agreement": "agreement with the teacher",
    "masked_accuracy": "accuracy of masked tokens",
    "likelihood": "1 / perplexity",
    "spearman": "Spearman's correlation",
    "pearson": "Pearson's correlation",
}
"""Metric -> its name for people, where that is another one than its own with spaces."""


def metric_label(name: str) -> str:
    """What people call a metric."""
    return _NAMES.get(name, name.replace("_", " "))
