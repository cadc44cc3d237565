"""The command-line arguments of a run."""

from argparse import ArgumentParser
from pathlib import Path

SEARCH_ARGUMENTS = (
    "epsilon",
    "max_parameters",
    "max_non_embedding_parameters",
    "max_latency_ms",
    "max_error",
    "objective",
    "layer_selection",
    "max_evaluations",
)
"""Arguments that are fields of `SearchConfig`."""


def add_run_arguments(parser: ArgumentParser) -> None:
    """The arguments that name model, data and settings."""
    parser.add_argument("--model", required=True, help="teacher: a folder or Hub id")
    parser.add_argument("--base-model", help="Hub id of the teacher, for the model card, where --model is a folder")
    parser.add_argument("--task", default="text-classification", help="what the student shall do")
    _add_data_arguments(parser)
    _add_search_arguments(parser)
    parser.add_argument(
        "--search-from",
        help="folder of an earlier run with the same data and, as --model, its teacher/: what it trained is taken over",
    )
    parser.add_argument("--config", type=Path, help="yaml or json file with the fields of OSEConfig")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    add_trust(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder to write; a run that stopped goes on there")


def add_trust(parser: ArgumentParser) -> None:
    """The argument that lets a model bring code."""
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")


def _add_data_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        required=True,
        help="Hub id, a csv, tsv, json, jsonl, parquet, txt or conll file, or a folder with train.* and so on",
    )
    for name, meaning in (
        ("--text-column", "column of the text, or of the list of words for token-classification"),
        ("--text-pair-column", "column of the second text of a pair"),
        ("--label-column", "column of the class, the list of classes, the number, or the list of tags"),
        ("--train-split", "name of the split that teaches"),
        ("--eval-split", "name of the split that steers"),
        ("--test-split", "name of the split that judges, once"),
    ):
        parser.add_argument(name, help=meaning)
    parser.add_argument(
        "--unlabeled",
        metavar="FILE",
        help="further single texts, one a line, on which the distilled student learns from the teacher's answers "
        "alone; lines that stand in the development or test rows are left out",
    )
    parser.add_argument(
        "--problem-type",
        choices=("single_label_classification", "multi_label_classification", "regression"),
        help="what a label is; default: lists are sets of classes, numbers with fractions are numbers, else classes",
    )
    parser.add_argument(
        "--benchmark-task",
        metavar="NAME",
        help="glue/sst2, superglue/boolq, race/middle, ...: columns and classes of --dataset are the benchmark's own",
    )


def _add_search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--epsilon", type=float, help="accepted shortfall from the best W, between 0 and 1")
    parser.add_argument(
        "--max-parameters", type=int, help="upper bound on the student's parameters, embeddings included"
    )
    parser.add_argument(
        "--max-non-embedding-parameters", type=int, help="upper bound on the student's parameters without embeddings"
    )
    parser.add_argument(
        "--max-latency-ms",
        type=float,
        help="upper bound on the student's median latency in ONNX Runtime on this machine, ms; batch, threads "
        "and precision: `search.latency` in --config (default: 1 row, all cores, fp32)",
    )
    parser.add_argument("--max-error", type=float, help="upper bound on the student's error in the search")
    parser.add_argument(
        "--objective",
        choices=("w-coefficient", "error"),
        help="highest W (default), or the least error under the bounds on size and latency",
    )
    parser.add_argument(
        "--layer-selection",
        choices=("even", "block-influence", "loss-when-dropped"),
        help="which of the teacher's layers a student inherits (default: even)",
    )
    parser.add_argument("--max-evaluations", type=int, help="upper bound on the trainings of the search")
