"""The command-line arguments of a run."""

from argparse import ArgumentParser
from collections.abc import Mapping
from types import MappingProxyType

from optimum_ose.commands.words import LARGEST_SEED, number, number_or_none, path, text, whole_number
from optimum_ose.serving.tasks.parts.labels import PROBLEM_TYPES
from optimum_ose.tasks import CHOICE_TASK, DEFAULT_TASK, task_names

FLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "epsilon": ("search", "epsilon"),
        "max_parameters": ("search", "max_parameters"),
        "max_non_embedding_parameters": ("search", "max_non_embedding_parameters"),
        "max_latency_ms": ("search", "max_latency_ms"),
        "max_error": ("search", "max_error"),
        "objective": ("search", "objective"),
        "keep": ("search", "keep"),
        "prefer": ("search", "prefer"),
        "layer_selection": ("search", "layer_selection"),
        "max_evaluations": ("search", "max_evaluations"),
        "max_length": ("max_length",),
    }
)
"""Argument -> the setting of `OSEConfig` that it gives."""
QUESTION = tuple(name for name in FLAGS if name not in ("layer_selection", "max_evaluations", "max_length"))
"""Those that a finished elastic search can be asked with again."""
NEEDED = ("model", "dataset", "output")
"""Arguments without which nothing can run; `--print-config` needs none."""


def add_run_arguments(parser: ArgumentParser) -> None:
    """The arguments that name model, data and settings."""
    parser.usage = "%(prog)s --model M --dataset D --output DIR [options]"
    parser.add_argument("--model", type=text, help="teacher: a folder or Hub id (required)")
    parser.add_argument(
        "--base-model", type=text, help="Hub id of the teacher, for the model card, where --model is a folder"
    )
    parser.add_argument(
        "--task",
        type=text,
        help=f"task: {', '.join(task_names())} (default: {DEFAULT_TASK}; with --benchmark-task of COPA or RACE "
        f"{CHOICE_TASK})",
    )
    _add_data_arguments(parser)
    _add_search_arguments(parser)
    parser.add_argument(
        "--search-from",
        metavar="DIR",
        type=text,
        help="output folder of an earlier run with the same data and teacher: reuse its trained candidates (--model: "
        "the same, or the folder's teacher/ if the run fine-tuned it)",
    )
    parser.add_argument(
        "--max-length",
        type=whole_number(8, 2**20),
        metavar="N",
        help="tokens per text, longer texts are cut, at least 8 (default: 128)",
    )
    parser.add_argument(
        "--config",
        type=path,
        metavar="FILE",
        help="yaml or json file with settings; flags win over it (--print-config prints all settings)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, LARGEST_SEED),
        metavar="N",
        help="seed of every stage and of the splits, 0 to 4294967295; wins over the seeds in --config (default: 0)",
    )
    add_trust(parser)
    parser.add_argument(
        "--output", type=path, metavar="DIR", help="folder to write; resumes a run that stopped there (required)"
    )


def add_trust(parser: ArgumentParser) -> None:
    """The argument that lets a model bring code."""
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with the model (default: off)"
    )


def _add_data_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        type=text,
        help="Hub id, a csv, tsv, json, jsonl, parquet, txt or conll file, a folder with train.*, validation.* and "
        "test.*, a folder that save_to_disk has written, or a folder of images, one for each class (required)",
    )
    for names, meaning in (
        (("--dataset-config",), "which of a Hub data set's configurations"),
        (
            ("--text-column", "--source-column"),
            "column of the text, of the list of words for token-classification, or of the images",
        ),
        (("--text-pair-column",), "column of the second text of a pair"),
        (
            ("--label-column", "--target-column"),
            "column of the class, the list of classes, the number, the list of tags, or the text to be written",
        ),
        (("--train-split",), "name of the training split (default: train)"),
        (("--eval-split",), "name of the validation split (default: validation, valid, dev, val or eval)"),
        (("--test-split",), "name of the test split, used once (default: test)"),
    ):
        parser.add_argument(*names, type=text, metavar="NAME", help=meaning)
    parser.add_argument(
        "--unlabeled",
        metavar="FILE",
        type=text,
        help="further texts, one a line, on which the distilled student learns the teacher's answers; lines that "
        "stand in the validation or test split are left out",
    )
    parser.add_argument(
        "--problem-type",
        choices=PROBLEM_TYPES,
        help="what a label is (default: lists are sets of classes, numbers with fractions are numbers, else classes)",
    )
    parser.add_argument(
        "--benchmark-task",
        metavar="NAME",
        type=text,
        help="glue/sst2, superglue/boolq, race/middle, ...: columns and classes of --dataset are the benchmark's own",
    )


def add_question(parser: ArgumentParser) -> None:
    """The arguments that say which student is wanted: `QUESTION`."""
    parser.add_argument(
        "--epsilon", type=number, metavar="X", help="accepted shortfall from the best W, in (0, 1) (default: 0.05)"
    )
    parser.add_argument(
        "--max-parameters",
        type=whole_number(),
        metavar="N",
        help="upper bound on the student's parameters, embeddings included (default: none)",
    )
    parser.add_argument(
        "--max-non-embedding-parameters",
        type=whole_number(),
        metavar="N",
        help="upper bound on the student's parameters without embeddings (default: a quarter of the teacher's, where "
        "candidates share weights)",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=number,
        metavar="X",
        help="upper bound on the student's median latency in ONNX Runtime on this machine, milliseconds (default: "
        "none); batch, threads and precision: `search.latency` in --config (default: 1 row, all cores, fp32)",
    )
    parser.add_argument(
        "--max-error",
        type=number,
        metavar="X",
        help="upper bound on the student's error in the search, > 0 (default: none)",
    )
    parser.add_argument(
        "--objective",
        choices=("w-coefficient", "error"),
        help="highest W, or the least error under the bounds on size and latency (default: w-coefficient)",
    )
    parser.add_argument(
        "--keep",
        type=number_or_none,
        metavar="X",
        help="share of the teacher's validation score that the finished student must keep, in (0, 1], or none "
        "(default: 0.97 where neither size, latency nor error is bounded, else none); missed: exit code 2",
    )
    parser.add_argument(
        "--prefer",
        choices=("size", "latency", "w"),
        help="which of the candidates that keep it: smallest, least inference cost (multiply-adds, or latency where "
        "`search.inference_cost` says so), or highest W (default: size with --keep, else w)",
    )


def _add_search_arguments(parser: ArgumentParser) -> None:
    add_question(parser)
    parser.add_argument(
        "--layer-selection",
        choices=("even", "block-influence", "loss-when-dropped"),
        help="which of the teacher's layers a student inherits; with another than even candidates are trained alone "
        "(default: even)",
    )
    parser.add_argument(
        "--max-evaluations",
        type=whole_number(),
        metavar="N",
        help="upper bound on the candidates that are measured (default: 512; of short trainings: 48)",
    )
