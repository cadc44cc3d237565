"""`ose run`: all stages."""

from argparse import ArgumentParser

from optimum_ose.commands.arguments import add_run_arguments
from optimum_ose.commands.request import open_request, request_of
from optimum_ose.commands.verb import Verb


class RunCommand(Verb):
    """Search, distil, fine-tune, export, measure and report; the same command again goes on where it stopped."""

    EXAMPLE = "optimum-cli ose run --model path/to/teacher --dataset reviews.csv --epsilon 0.05 --output out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        RunCommand.describe(parser)
        add_run_arguments(parser)
        parser.add_argument("--push-to-hub", metavar="REPO", help="upload the finished folder to this Hub repository")

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.summary import print_summary, require_bound_kept
        from optimum_ose.commands.terminal import TerminalListener, quiet_libraries
        from optimum_ose.optimizer.pipeline import run_stages
        from optimum_ose.output_folder import working_in

        quiet_libraries()
        request = request_of(self.args)
        with working_in(self.args.output):
            artifact = run_stages(open_request(request, self.args.output, TerminalListener()))
        print_summary(artifact)
        require_bound_kept(artifact)
        if request.push_to_hub:
            print(artifact.push_to_hub(request.push_to_hub))
