"""`ose trim`: a model without the tokens that a corpus does not need."""

from argparse import ArgumentParser

from optimum_ose.commands.verb import Verb
from optimum_ose.commands.words import LARGEST_SEED, number, path, text, whole_number

_SAMPLE_SIZE = 256


class TrimCommand(Verb):
    """Remove tokens from the vocabulary of a model, and their rows from its embeddings and heads, without training.

    Texts whose tokens all stay have the same outputs; this is verified. Added and special tokens, single characters
    and bytes always stay. The output is an ordinary model folder; the report is ose/trim.json in it.
    """

    EXAMPLE = "optimum-cli ose trim --model path/to/model --corpus texts.txt --keep-coverage 0.999 --output smaller"

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """See `BaseOptimumCLICommand`."""
        TrimCommand.describe(parser)
        parser.add_argument("--model", type=text, required=True, help="folder or Hub id, with a fast tokenizer")
        parser.add_argument(
            "--corpus",
            type=path,
            required=True,
            nargs="+",
            metavar="FILE",
            help="files of texts (txt, jsonl, csv, tsv, parquet; gzipped ones too), or folders of such files; tokens "
            "are counted there",
        )
        parser.add_argument(
            "--keep-coverage",
            type=number,
            metavar="X",
            help="share of the corpus' tokens that must stay, in (0, 1]; 1: every token that occurs",
        )
        parser.add_argument(
            "--vocabulary-size", type=whole_number(), metavar="N", help="number of tokens to keep, instead"
        )
        parser.add_argument("--output", type=path, required=True, metavar="DIR", help="folder to write")
        parser.add_argument(
            "--text-column",
            type=text,
            help="column of jsonl, csv, tsv and parquet files (default: text, sentence, ...)",
        )
        parser.add_argument(
            "--sample-size",
            type=whole_number(1, 10**6),
            metavar="N",
            default=_SAMPLE_SIZE,
            help="texts of the corpus on which the outputs are compared (default: %(default)s)",
        )
        parser.add_argument(
            "--seed",
            type=whole_number(0, LARGEST_SEED),
            metavar="N",
            default=0,
            help="of the draw of these texts (default: %(default)s)",
        )

    def execute(self) -> None:
        """See `Verb`."""
        from optimum_ose.commands.terminal import quiet_libraries
        from optimum_ose.display import default_listener
        from optimum_ose.vocabulary.trim_report import summary
        from optimum_ose.vocabulary.trimming import trim_vocabulary
        from optimum_ose.wording import one_line, printable

        quiet_libraries()
        report = trim_vocabulary(
            self.args.model,
            self.args.corpus,
            self.args.output,
            keep_coverage=self.args.keep_coverage,
            vocabulary_size=self.args.vocabulary_size,
            text_column=self.args.text_column,
            sample_size=self.args.sample_size,
            seed=self.args.seed,
            listener=default_listener(),
        )
        print(printable(f"{summary(report)}\n\nwritten: {one_line(self.args.output)}"))
