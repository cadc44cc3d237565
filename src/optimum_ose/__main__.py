"""`python -m optimum_ose`: the verbs of `optimum-cli ose`."""

from argparse import ArgumentParser

from optimum_ose.commands.root import VERBS, OSECommand


def main() -> None:
    """Parse the command line and run the verb."""
    parser = ArgumentParser(prog="python -m optimum_ose", description=OSECommand.COMMAND.help)
    subparsers = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verb.subcommand_class(subparsers, command=verb)
    arguments = parser.parse_args()
    arguments.func(arguments).run()


if __name__ == "__main__":
    main()
