"""`ose run`: all stages."""

from argparse import ArgumentParser

from optimum_ose.commands.arguments import add_run_arguments
from optimum_ose.commands.request import open_request, request_of
from optimum_ose.commands.verb import Verb
from optimum_ose.commands.words import text


class RunCommand(Verb):
    """Search, distil, fine-tune, export, measure and report; the same command resumes a run that stopped."""

    EXAMPLE = "optimum-cli ose run --model path/to/teacher --dataset reviews.csv --epsilon 0.05 --output out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        RunCommand.describe(parser)
        add_run_arguments(parser)
        parser.add_argument(
            "--push-to-hub",
            metavar="REPO",
            type=text,
            help="upload the finished folder to this Hub repository, user/name",
        )
        parser.add_argument(
            "--private", action="store_true", help="make a new repository private (default: as the Hub account says)"
        )
        parser.add_argument(
            "--print-config",
            action="store_true",
            help="print all settings as yaml, those of --config and flags included, and stop; --config reads it",
        )

    def execute(self) -> None:
        """See `Verb`."""
        if self.args.print_config:
            self._print_config()
            return
        from optimum_ose.commands.summary import print_summary, require_bounds_kept
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.display import default_listener
        from optimum_ose.output_folder import working_in
        from optimum_ose.pipeline.runner import run_stages

        quiet_libraries()
        request = request_of(self.args)
        if request.push_to_hub:
            from optimum_ose.hub.rights import require_uploadable

            require_uploadable(request.push_to_hub, private=self.args.private)  # now, not after hours of work
        with working_in(self.args.output):
            artifact = run_stages(open_request(request, self.args.output, default_listener()))
        print_summary(artifact)
        require_bounds_kept(artifact)
        if request.push_to_hub:
            print(artifact.push_to_hub(request.push_to_hub, private=self.args.private))

    def _print_config(self) -> None:
        from optimum_ose.commands.settings import config_of
        from optimum_ose.configuration.describing import commented_yaml

        print(commented_yaml(config_of(self.args)), end="")
