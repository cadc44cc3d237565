"""`ose students`: students of several sizes, or the answer to another question, from one search."""

from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from typing import TYPE_CHECKING, Any

from optimum_ose.commands.arguments import add_question, add_trust
from optimum_ose.commands.verb import Verb
from optimum_ose.commands.words import path, whole_number
from optimum_ose.wording import shown

if TYPE_CHECKING:
    from optimum_ose.pipeline.students import Sizes

_MOST = 100
"""Numbers up to this are counts of students, greater ones are bounds on the parameters of one."""


def sizes(word: str) -> "Sizes":
    """How many students; or parameters that each may have, separated by commas; or the word pareto.

    Raises:
        ArgumentTypeError: if it is neither.
    """
    if word.strip().lower() == "pareto":
        return "pareto"
    try:
        found = tuple(whole_number()(part) for part in word.replace("_", "").split(","))
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"must be a number of students, parameters separated by commas, or pareto; got {shown(word)}"
        ) from None
    return found[0] if len(found) == 1 and found[0] <= _MOST else found


class StudentsCommand(Verb):
    """Write students of a finished search without short trainings (method elastic or inherited): of several sizes with
    --sizes, else the one that answers the question. Nothing is searched anew, and the run itself stays as it is.
    """

    EXAMPLE = "optimum-cli ose students out --sizes 5"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        StudentsCommand.describe(parser)
        parser.add_argument("folder", type=path, help="folder of an earlier `run` or `extract`")
        parser.add_argument(
            "--sizes",
            type=sizes,
            metavar="N",
            help="number of students, spread evenly over the front of size and score; or parameters that each may have "
            "(300000,1000000); or pareto: the whole front (default: the one that answers the question)",
        )
        parser.add_argument("--output", type=path, help="folder for the students' folders (default: students in it)")
        parser.add_argument(
            "--distill",
            action=BooleanOptionalAction,
            help="distill each on its own with the run's recipe (default: of the method inherited, whose candidates "
            "were not trained, only)",
        )
        parser.add_argument("--dry-run", action="store_true", help="print the answer and write nothing")
        add_question(parser)
        add_trust(parser)

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.request import reopen
        from optimum_ose.commands.settings import question_of
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.core.architecture import sizes_in_words
        from optimum_ose.display import default_listener
        from optimum_ose.output_folder import working_again_in
        from optimum_ose.pipeline.searching import search_record
        from optimum_ose.pipeline.students import Member, ask, members, write_students
        from optimum_ose.report.search_table import search_table
        from optimum_ose.wording import one_line, printable

        quiet_libraries()
        changes = question_of(self.args)
        output = self.args.output or self.args.folder / "students"
        with working_again_in(self.args.folder):
            run = reopen(self.args.folder, default_listener(), trust_remote_code=self.args.trust_remote_code)
            found = ask(run, changes)
            result, record = found.result, search_record(run.optimizer, found)
            if self.args.sizes is None:
                own = result.architecture
                parameters = int(result.objectives.parameter_size)
                chosen = [Member(architecture=own, parameters=parameters, measured_score=run.optimizer.measured[own])]
                print(printable(search_table(record)))
                if run.optimizer.choice is not None:
                    print(printable(f"{run.optimizer.choice.statement}."))
            else:
                chosen = members(run.optimizer, result, self.args.sizes)
                for one in chosen:
                    told = sizes_in_words(one.architecture)
                    print(
                        printable(f"{one.parameters:,} parameters, score {one.measured_score:.4f} as measured: {told}")
                    )
            if not self.args.dry_run:
                distills = run.config.search.method == "inherited" if self.args.distill is None else self.args.distill
                written = write_students(run, chosen, output, distills=distills)
                print(printable(_table(written)))
                print(printable(f"\nwritten: {one_line(output)}"))


def _table(records: list[dict[str, Any]]) -> str:
    from optimum_ose.report.table import aligned

    metric = records[0]["metric"]
    rows = [("folder", "parameters", f"{metric}, validation", f"{metric}, test", "ONNX files")]
    rows += [
        (
            one["folder"],
            f"{one['parameters']:,}",
            f"{one['validation_score']:.4f}",
            f"{one['test_score']:.4f}",
            f"{one['bytes'] / 1e6:.2f} MB",
        )
        for one in records
    ]
    return "\n".join(aligned(rows))
