"""`ose extract`, `distill`, `finetune`, and `export` of a run: one stage each, on the same folder."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING, ClassVar

from optimum_ose.commands.arguments import add_run_arguments, add_trust
from optimum_ose.commands.request import open_request, reopen, request_of
from optimum_ose.commands.verb import Verb
from optimum_ose.commands.words import path

if TYPE_CHECKING:
    from optimum_ose.pipeline.dependencies import Stage


class ExtractCommand(Verb):
    """Find the architecture; a teacher without a head is fine-tuned first. Every finished training is kept."""

    SHARES_WORK = True
    EXAMPLE = "optimum-cli ose extract --model path/to/teacher --dataset reviews.csv --epsilon 0.1 --output out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        ExtractCommand.describe(parser)
        add_run_arguments(parser)

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.display import default_listener
        from optimum_ose.optimizer.team import is_first_process
        from optimum_ose.output_folder import working_in
        from optimum_ose.pipeline.runner import run_stages
        from optimum_ose.records import read_search
        from optimum_ose.report.search_table import search_table

        quiet_libraries()
        request = request_of(self.args)
        with working_in(self.args.output):
            run = open_request(request, self.args.output, default_listener())
            artifact = run_stages(run, only=("teacher", "extract"))
        if is_first_process():
            print(search_table(read_search(artifact.search)))


class StageCommand(Verb):
    """One stage of a folder in which the stages before it are finished."""

    STAGE: ClassVar["Stage"]

    @classmethod
    def add_folder(cls, parser: ArgumentParser) -> None:
        """Describe the verb and take the folder."""
        cls.describe(parser)
        parser.add_argument("--output", type=path, required=True, help="folder of an earlier `extract` or `run`")
        add_trust(parser)

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.display import default_listener
        from optimum_ose.output_folder import working_again_in
        from optimum_ose.pipeline.runner import run_stages

        quiet_libraries()
        trusted = self.args.trust_remote_code
        with working_again_in(self.args.output):
            run = reopen(self.args.output, default_listener(), trust_remote_code=trusted)
            artifact = run_stages(run, only=(self.STAGE,))
        facts = {name: value for name, value in (artifact.stage(self.STAGE) or {}).items() if name != "seconds"}
        print(
            f"{self.STAGE} finished in {artifact.path}" + "".join(f"; {name}: {value}" for name, value in facts.items())
        )


class DistillCommand(StageCommand):
    """Distil the student of the extracted architecture, from its measured weights or from the teacher's; where a share
    of the teacher's score is to be kept, up to three candidates, until one keeps it.
    """

    STAGE = "distill"
    EXAMPLE = "optimum-cli ose distill --output out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        DistillCommand.add_folder(parser)


class FinetuneCommand(StageCommand):
    """Fine-tune the distilled student with Agora inside Trainer."""

    STAGE = "finetune"
    EXAMPLE = "optimum-cli ose finetune --output out"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        FinetuneCommand.add_folder(parser)
