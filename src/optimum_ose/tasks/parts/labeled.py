"""The kinds of answers that labels judge."""

from optimum_ose.tasks.parts.multi_label import MULTI_LABEL
from optimum_ose.tasks.parts.problem import Problem
from optimum_ose.tasks.parts.regression import REGRESSION
from optimum_ose.tasks.parts.single_label import SINGLE_LABEL
from optimum_ose.tasks.parts.token_labels import TOKEN_LABELS

LABELED_PROBLEMS: tuple[Problem, ...] = (SINGLE_LABEL, MULTI_LABEL, REGRESSION, TOKEN_LABELS)
"""All of them."""
