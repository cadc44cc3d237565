"""`ose bench`, `report`, `push`, `serve`: verbs on a finished folder."""

from argparse import ArgumentParser
from functools import partial
from typing import TYPE_CHECKING

from optimum_ose.commands.arguments import add_trust
from optimum_ose.commands.verb import Verb
from optimum_ose.commands.words import path, text
from optimum_ose.serving.command import add_options, serve

if TYPE_CHECKING:
    from optimum_ose.artifact import OSEArtifact


class BenchCommand(Verb):
    """Measure latency, throughput, memory and size of teacher and student again, every format side by side in one
    run; or with --benchmark-task score them on rows of a benchmark, such as a diagnostic set.
    """

    EXAMPLE = "optimum-cli ose bench out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        BenchCommand.describe(parser)
        parser.add_argument("folder", type=path, help="folder of a finished run")
        parser.add_argument(
            "--benchmark-task",
            metavar="NAME",
            type=text,
            help="score the finished student on this set, such as glue/ax, and measure nothing else",
        )
        parser.add_argument("--dataset", type=text, help="file, folder or Hub id of the rows of --benchmark-task")
        add_trust(parser)

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.output_folder import working_again_in
        from optimum_ose.records import read_benchmark
        from optimum_ose.report.older_records import reading_records
        from optimum_ose.report.table import comparison_table
        from optimum_ose.wording import printable

        quiet_libraries()
        with working_again_in(self.args.folder):
            artifact = self._scored() if self.args.benchmark_task or self.args.dataset else self._measured()
        with reading_records(artifact.path):
            told = comparison_table(read_benchmark(artifact.benchmark))
        print(printable(told))

    def _measured(self) -> "OSEArtifact":
        from optimum_ose.commands.request import reopen
        from optimum_ose.display import default_listener
        from optimum_ose.pipeline.runner import measure_again

        trusted = self.args.trust_remote_code
        return measure_again(reopen(self.args.folder, default_listener(), trust_remote_code=trusted))

    def _scored(self) -> "OSEArtifact":
        from optimum_ose.artifact import OSEArtifact
        from optimum_ose.data.benchmark_data import diagnostic_rows
        from optimum_ose.exceptions import InvalidConfigError
        from optimum_ose.pipeline.diagnostics import score_diagnostic

        name, source = self.args.benchmark_task, self.args.dataset
        if not name or not source:
            raise InvalidConfigError(
                "A score on a benchmark needs its task and its rows",
                f"got --{'dataset' if source else 'benchmark-task'} alone",
                "Give both --benchmark-task and --dataset, or neither",
            )
        artifact = OSEArtifact.open(self.args.folder)
        score_diagnostic(artifact, name, diagnostic_rows(source, name))
        return artifact


class ReportCommand(Verb):
    """Write model card, HTML page and Pareto plot again, from what is on disk, and print the search."""

    EXAMPLE = "optimum-cli ose report out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        ReportCommand.describe(parser)
        parser.add_argument("folder", type=path, help="folder of a finished run")

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.artifact import OSEArtifact
        from optimum_ose.output_folder import working_again_in
        from optimum_ose.pipeline.dependencies import require_whole
        from optimum_ose.records import read_search
        from optimum_ose.report.older_records import reading_records
        from optimum_ose.report.search_table import search_table
        from optimum_ose.report.writing import write_report
        from optimum_ose.wording import one_line, printable

        with working_again_in(self.args.folder):
            artifact = OSEArtifact.open(self.args.folder)
            require_whole(artifact)
            card = write_report(artifact)
        with reading_records(artifact.path):
            table = search_table(read_search(artifact.chosen))
        written = (card, artifact.page, artifact.pareto_plot, artifact.environment)
        print(printable(f"{table}\n\nwritten: {', '.join(map(one_line, written))}"))


class PushCommand(Verb):
    """Upload a finished folder to the Hub: model, tokenizer, ONNX files, search record and card; nothing else."""

    EXAMPLE = "optimum-cli ose push out me/my-small-model --private"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        PushCommand.describe(parser)
        parser.add_argument("folder", type=path, help="folder of a finished run")
        parser.add_argument("repo", help="Hub repository, user/name")
        parser.add_argument("--private", action="store_true", help="make a new repository private")
        parser.add_argument("--revision", help="branch")
        parser.add_argument("--dry-run", action="store_true", help="list the files and send nothing")

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.artifact import OSEArtifact
        from optimum_ose.hub.upload import layout_files, push_to_hub
        from optimum_ose.output_folder import RUN_FILE
        from optimum_ose.pipeline.dependencies import require_whole

        arguments = self.args
        if (arguments.folder / RUN_FILE).is_file():
            require_whole(OSEArtifact.open(arguments.folder), patterns=("*.onnx", "*.safetensors"))
        url = push_to_hub(
            arguments.folder,
            arguments.repo,
            private=arguments.private,
            revision=arguments.revision,
            dry_run=arguments.dry_run,
        )
        if arguments.dry_run:
            files = layout_files(arguments.folder)
            print("\n".join(files))
            print(f"nothing was sent; without --dry-run these {len(files)} files go to {url}")
        else:
            print(url)


class ServeCommand(Verb):
    """Answer POST /predict and the Open Inference Protocol from the ONNX file, without torch or transformers.

    GET /health, /ready and /metrics report its health. SIGTERM and SIGINT end it after the answers under way.
    """

    EXAMPLE = "optimum-cli ose serve out --port 8080"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        ServeCommand.describe(parser)
        add_options(parser)

    def execute(self) -> None:
        """See `Verb`."""
        raise SystemExit(serve(self.args, announce=partial(print, flush=True)))
