"""`ose space`: the derived search space of a model."""

from argparse import ArgumentParser

from optimum_ose.commands.arguments import add_trust
from optimum_ose.commands.verb import Verb
from optimum_ose.commands.words import text, whole_number
from optimum_ose.tasks import task_names

_SEQUENCE_LENGTH = 128


class SpaceCommand(Verb):
    """Derive axes, constraints, number of architectures, maximum point and AB^nC verdict of a model from its config
    alone.
    """

    EXAMPLE = "optimum-cli ose space --model path/to/model --task text-classification"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        SpaceCommand.describe(parser)
        parser.add_argument("--model", type=text, required=True, help="folder or Hub id; only its config is read")
        parser.add_argument(
            "--task", type=text, help=f"task whose head is counted too: {', '.join(task_names())} (default: no head)"
        )
        parser.add_argument(
            "--sequence-length",
            type=whole_number(1, 2**20),
            metavar="N",
            default=_SEQUENCE_LENGTH,
            help="tokens per sequence for multiply-adds, at least 1 (default: %(default)s)",
        )
        add_trust(parser)

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.exceptions import UnsupportedModelError
        from optimum_ose.modeling.abnc import model_abnc
        from optimum_ose.modeling.length import require_countable_length, usable_length
        from optimum_ose.modeling.loading import load_config
        from optimum_ose.modeling.search_space import derive_search_space
        from optimum_ose.report.space_table import space_table
        from optimum_ose.wording import one_line, shown

        quiet_libraries()
        length = self.args.sequence_length
        config = load_config(self.args.model, trust_remote_code=self.args.trust_remote_code)
        require_countable_length(length, usable_length(config), default=_SEQUENCE_LENGTH)
        space = derive_search_space(config, task=self.args.task)
        print(space_table(space, sequence_length=length))
        try:
            print(f"AB^nC:\n{model_abnc(config, self.args.task)}")
        except UnsupportedModelError as error:
            # What came may be the words of a library; what must hold is ours.
            print(f"AB^nC: not decided for model type {shown(config.model_type)}: {one_line(error.expected)}")
