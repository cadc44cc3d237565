"""`ose export`: ONNX files of any model, or of the student of a run."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optimum_ose.commands.arguments import add_trust
from optimum_ose.commands.stages import StageCommand
from optimum_ose.commands.words import number, path, text, whole_number
from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.output_folder import RUN_FILE
from optimum_ose.tasks import task_names
from optimum_ose.wording import listed

if TYPE_CHECKING:
    from optimum_ose.configuration import ExportConfig
    from optimum_ose.pipeline.dependencies import Stage

_WEIGHTS: Mapping[str, Literal["int8", "int4"]] = MappingProxyType({"weight-int8": "int8", "weight-int4": "int4"})
_INT8: Mapping[str, Literal["dynamic-int8", "static-int8"]] = MappingProxyType(
    {"dynamic-int8": "dynamic-int8", "static-int8": "static-int8"}
)
_FORMATS = ("fp32", *_INT8, *_WEIGHTS, "fp16")
_OF_A_MODEL = (
    *("task", "formats", "calibration", "text_column", "text_pair_column", "pooling", "opset"),
    "tolerance",
)
"""Arguments that go with --model."""


class ExportCommand(StageCommand):
    """Write ONNX files, each compared with PyTorch.

    With --model: of any model folder, Hub id or sentence-transformers folder. Nothing is trained. The output is an
    ordinary model folder that `ose serve`, transformers, sentence-transformers, transformers.js and ORTModel read.
    Without --model: of the student of the run in --output, with the settings of that run.
    """

    STAGE: ClassVar["Stage"] = "export"
    EXAMPLE = (
        "optimum-cli ose export --model path/to/model --output onnx-model\n"
        "  optimum-cli ose export --model path/to/model --formats dynamic-int8 weight-int4 --output onnx-model\n"
        "  optimum-cli ose export --output out          (out: folder of `ose run` or `ose extract`)"
    )

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        ExportCommand.describe(parser)
        parser.add_argument("--model", type=text, help="folder or Hub id; without it, the student of a run is exported")
        parser.add_argument(
            "--output", type=path, required=True, metavar="DIR", help="folder to write; without --model that of a run"
        )
        parser.add_argument(
            "--task", type=text, help=f"task: {', '.join(task_names())} (default: that of the class in config.json)"
        )
        parser.add_argument(
            "--formats",
            nargs="+",
            choices=_FORMATS,
            metavar="FORMAT",
            help=f"{', '.join(_FORMATS)}; fp32 is always written (default: dynamic-int8)",
        )
        parser.add_argument(
            "--calibration",
            type=path,
            metavar="FILE",
            help="rows of the task (csv, tsv, json, jsonl, parquet, or txt with a text a line): static-int8 needs "
            "them, and formats are compared on them (default: random inputs)",
        )
        for name, meaning in (("--text-column", "the text"), ("--text-pair-column", "the second text of a pair")):
            parser.add_argument(name, type=text, metavar="NAME", help=f"column of {meaning} in --calibration")
        parser.add_argument(
            "--pooling",
            choices=("mean", "first", "last"),
            help="how an encoder's vector of a text is made of those of its tokens (default: as the folder says)",
        )
        parser.add_argument("--opset", type=whole_number(14, 20), metavar="N", help="ONNX operator set (default: 17)")
        parser.add_argument(
            "--tolerance",
            "--atol",
            type=number,
            metavar="X",
            help="largest accepted difference of fp32 to PyTorch, relative to the largest output (default: 1e-4)",
        )
        add_trust(parser)

    def execute(self) -> None:
        """See `Verb`."""
        if self.args.model is None:
            self._require_run_arguments()
            super().execute()
            return
        self._export_model()

    def _require_run_arguments(self) -> None:
        given = [f"--{name.replace('_', '-')}" for name in _OF_A_MODEL if getattr(self.args, name) is not None]
        if given:
            raise InvalidConfigError(
                "A run is exported with its own settings (`export:` in --config of `ose run`)",
                f"got {listed(given)} without --model",
                "Name a model (--model), or leave them out",
            )
        folder: Path = self.args.output
        if folder.is_dir() and not (folder / RUN_FILE).is_file():
            raise InvalidConfigError(
                "`ose export` needs a model (--model), or in --output the folder of a run",
                f"{folder} has no {RUN_FILE}",
                "Give --model with a folder or Hub id, or the output folder of `ose run`",
            )

    def _export_model(self) -> None:
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.conversion.calibration import read_calibration
        from optimum_ose.conversion.exporting import export_onnx
        from optimum_ose.conversion.report import report_table
        from optimum_ose.display import default_listener
        from optimum_ose.wording import one_line, printable

        quiet_libraries()
        args = self.args
        rows = None
        if args.calibration is not None:
            rows = read_calibration(
                args.calibration, text_column=args.text_column, text_pair_column=args.text_pair_column
            )
        report = export_onnx(
            args.model,
            None,
            args.output,
            self._config(),
            task=args.task,
            calibration_dataset=rows,
            trust_remote_code=args.trust_remote_code,
            listener=default_listener(),
        )
        place = one_line(args.output)
        print(printable(f"{report_table(report)}\n\nwritten: {place}; try: optimum-cli ose serve {place}"))

    def _config(self) -> "ExportConfig":
        """The settings that the arguments give."""
        from optimum_ose.configuration import ExportConfig

        named = self.args.formats if self.args.formats is not None else ["dynamic-int8"]
        int8 = [_INT8[name] for name in named if name in _INT8]
        if len(set(int8)) > 1:
            raise InvalidConfigError(
                "An export writes one of dynamic-int8 and static-int8",
                "got both: each is onnx/model_quantized.onnx",
                "Leave one of them out of --formats, or export twice into two folders",
            )
        others: dict[str, Any] = {
            name: value for name in ("opset", "pooling", "tolerance") if (value := getattr(self.args, name)) is not None
        }
        return ExportConfig(
            quantization=int8[0] if int8 else "none",
            weight_only=tuple(dict.fromkeys(_WEIGHTS[name] for name in named if name in _WEIGHTS)),
            half_weights="fp16" in named,
            **others,
        )
