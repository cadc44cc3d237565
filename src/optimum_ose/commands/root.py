"""The `ose` command and its verbs."""

from typing import ClassVar

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo

from optimum_ose.commands.export import ExportCommand
from optimum_ose.commands.folder_verbs import BenchCommand, PushCommand, ReportCommand, ServeCommand
from optimum_ose.commands.run import RunCommand
from optimum_ose.commands.space import SpaceCommand
from optimum_ose.commands.stages import DistillCommand, ExtractCommand, FinetuneCommand
from optimum_ose.commands.students import StudentsCommand
from optimum_ose.commands.trim import TrimCommand

VERBS = (
    CommandInfo("space", "derive and print the search space of a model", SpaceCommand),
    CommandInfo("extract", "find the architecture", ExtractCommand),
    CommandInfo("distill", "initialize and distil the student", DistillCommand),
    CommandInfo("finetune", "fine-tune the student with Agora", FinetuneCommand),
    CommandInfo("export", "write ONNX files: of any model, or of the student of a run", ExportCommand),
    CommandInfo("run", "all stages, resumable", RunCommand),
    CommandInfo("students", "write students of several sizes from one elastic training", StudentsCommand),
    CommandInfo("bench", "measure teacher and student side by side", BenchCommand),
    CommandInfo("report", "write card and plot again", ReportCommand),
    CommandInfo("trim", "remove tokens from a model's vocabulary", TrimCommand),
    CommandInfo("serve", "HTTP server on the ONNX file", ServeCommand),
    CommandInfo("push", "upload to the Hub", PushCommand),
)


class OSECommand(BaseOptimumCLICommand):  # type: ignore[misc]
    """`optimum-cli ose`."""

    COMMAND = CommandInfo("ose", "Extract, train, export and serve the smallest network that still does the job")
    SUBCOMMANDS: ClassVar[tuple[CommandInfo, ...]] = VERBS
