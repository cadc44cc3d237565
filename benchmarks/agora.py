"""Owns the benchmark of Agora on scarce data: the five ways of the article and token replacement, on real data sets.

Settings: banking77 and clinc150 with 5 and 10 rows a class, trec6 and sms_spam with 100 rows, rte with 200. As many
other rows are development rows. The teacher of a data set is fine-tuned once, on four fifths of its training file; all
the others come from the rest. rte's rows alone leave MiniLM at chance: there it learns from made pairs first
(`pairs.py`). Each finished way is one line of a journal: a killed run goes on where it stopped, and a run with more
seeds or settings adds to it. Test rows (at most 3,000) are looked at once per way.

    python benchmarks/agora.py --data ../shared/data --output out/agora --seeds 3
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pairs import made_pairs

from optimum_ose.data.reading import read_file
from optimum_ose.journal import Journal

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from five_ways import (
    AGORA,
    BATCH_SIZE,
    KEPT_LABEL_PROBABILITY,
    LEARNING_RATE,
    MAX_TEACHER_STEPS,
    NUM_OWN_EPOCHS,
    NUM_OWN_ROWS,
    NUM_ROUNDS,
    NUM_STEPS,
    NUM_TEACHER_EPOCHS,
    STUDENT,
    five_ways,
    own_teacher,
    prepare,
    scarce_splits,
    set_aside,
)

SETTINGS: dict[str, tuple[str, int | None, int]] = {
    "banking77-5": ("banking77", 5, 0),
    "banking77-10": ("banking77", 10, 0),
    "clinc150-5": ("clinc150", 5, 0),
    "clinc150-10": ("clinc150", 10, 0),
    "trec6-100": ("trec6", None, 100),
    "sms_spam-100": ("sms_spam", None, 100),
    "rte-200": ("rte", None, 200),
}
"""Name -> folder, rows per class, rows without that."""
NUM_PAIRS, NUM_JUDGED_PAIRS = 10_000, 500
"""Made pairs that rte's teacher learns from first, and those that it is scored on."""
OTHERS = ("linear head", "distillation", "deeper head", "search", "replacement")
"""What Agora is judged against."""
WAYS = (*OTHERS, "replacement + distillation", "agora")


def main() -> int:
    """Run what the journal lacks and print the table.

    The exit code is 1 if Agora is not best in four fifths of the settings, or by less than 2 points on average.
    """
    options = _parse()
    options.output.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.output / "journal.jsonl", question=_question(options.steps))
    if not options.only_table:
        for name in options.settings:
            for seed in range(options.seeds):
                _run(name, seed, options, journal)
    return _print(list(journal))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=Path("out/agora"), help="folder of journal and teachers")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=3, help="0 .. n - 1 (default: 3)")
    parser.add_argument("--steps", type=int, default=NUM_STEPS, help=f"of each way (default: {NUM_STEPS})")
    parser.add_argument("--only-table", action="store_true", help="of what the journal holds")
    return parser.parse_args()


def _question(num_steps: int) -> dict[str, object]:
    return {
        "benchmark": "agora",
        "num_steps": num_steps,
        "teacher": [NUM_TEACHER_EPOCHS, MAX_TEACHER_STEPS],
        "pairs": NUM_PAIRS,
        "learning_rate": LEARNING_RATE,
        "student": dict(STUDENT),
        "kept_label_probability": KEPT_LABEL_PROBABILITY,
        "batch_size": BATCH_SIZE,
        "rounds": NUM_ROUNDS,
        "own_rows": [*NUM_OWN_ROWS, NUM_OWN_EPOCHS],
        "agora": {name: getattr(AGORA, name) for name in AGORA.__dataclass_fields__},
    }


def _run(name: str, seed: int, options: argparse.Namespace, journal: Journal) -> None:
    done = {entry["way"]: entry for entry in journal if (entry["setting"], entry["seed"]) == (name, seed)}
    if done.keys() >= {*WAYS, "teacher"}:
        return
    folder, per_class, num_rows = SETTINGS[name]
    found = tables(options.data / folder)
    owned, aside = set_aside(found["train"])
    start = _compares_texts(owned["text"], options) if folder == "rte" else None
    teacher = own_teacher(owned, aside, options.output / folder, start=start)
    splits = scarce_splits(aside, found.get("test"), per_class=per_class, num_rows=num_rows, seed=seed)
    setting = prepare(splits, teacher, seed=seed, num_steps=options.steps)
    shared = {"setting": name, "seed": seed, "num_train_rows": len(setting.train)}
    if "teacher" not in done:
        dev, test = (setting.accuracy(setting.optimizer.teacher, rows) for rows in (setting.dev, setting.test))
        journal.append({**shared, "way": "teacher", "dev": dev, "test": test, "num_added": 0, "remark": ""})
    num_added = done["agora"]["num_added"] if "agora" in done else 0
    for way, outcome in five_ways(setting, skip=done.keys(), num_added=num_added):
        print(f"{name} seed {seed} {way}: dev {outcome.dev:.3f} test {outcome.test:.3f} {outcome.remark}", flush=True)
        journal.append(
            {
                **shared,
                "way": way,
                "dev": outcome.dev,
                "test": outcome.test,
                "num_added": outcome.num_added,
                "remark": outcome.remark,
            }
        )


def _compares_texts(premises: Iterable[str], options: argparse.Namespace) -> Path:
    """A network that tells whether a text follows from another one, from pairs that nobody labeled."""
    sentences = (options.data / "corpus_en/wikipedia_sentences.txt").read_text(encoding="utf-8").splitlines()
    pairs = made_pairs([*sentences, *premises], num_pairs=NUM_PAIRS + NUM_JUDGED_PAIRS, seed=0)
    learned, judged = pairs[:NUM_PAIRS], pairs[NUM_PAIRS:]
    return own_teacher(learned, judged, options.output / "rte-pairs", num_epochs=1)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The rows of a data set's own files, with the columns text, maybe text_pair, and label."""
    if folder.name == "banking77":
        return {split: _named(read_file(folder / f"{split}.csv"), "text", "category") for split in ("train", "test")}
    if folder.name == "trec6":
        return {split: _named(read_file(folder / f"{split}.txt"), "text", "label") for split in ("train", "test")}
    if folder.name == "clinc150":
        content = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
        return {split: pd.DataFrame(content[split], columns=["text", "label"]) for split in ("train", "test")}
    if folder.name == "sms_spam":
        rows = pd.read_csv(
            folder / "SMSSpamCollection", sep="\t", names=["label", "text"], quoting=csv.QUOTE_NONE, dtype=str
        )
        return {"train": rows[~rows["text"].str.casefold().duplicated()]}
    files = {"train": "train.tsv", "test": "dev.tsv"}
    found = {split: read_file(folder / file) for split, file in files.items()}
    return {
        split: _named(table, "sentence1", "label").assign(text_pair=table["sentence2"])
        for split, table in found.items()
    }


def _named(table: pd.DataFrame, text: str, label: str) -> pd.DataFrame:
    return pd.DataFrame({"text": table[text], "label": table[label]})


def _print(entries: list[dict[str, object]]) -> int:
    """Mean and spread (standard deviation over seeds) of test accuracy, and how often Agora is best."""
    rows = pd.DataFrame(entries)
    if rows.empty:
        print("nothing has been run yet")
        return 1
    print(f"{'setting':<14}" + "".join(f"{way:>16.15s}" for way in (*WAYS, "teacher")) + f"{'gain':>8}")
    gains = []
    for name, found in _complete(rows):
        mean, spread = (getattr(found.groupby("way")["test"], kind)() for kind in ("mean", "std"))
        cells = [f"{100 * mean[way]:.1f} +- {100 * np.nan_to_num(spread[way]):.1f}" for way in (*WAYS, "teacher")]
        refused = found.loc[found["way"] == "agora", "remark"].str.len().gt(0).any()
        gains.append(float("nan") if refused else float(mean["agora"] - mean[list(OTHERS)].max()))
        print(
            f"{name:<14}{''.join(f'{cell:>16}' for cell in cells)}{100 * gains[-1]:>8.1f}"
            + (" (labeler refused)" if refused else "")
        )
    judged = [gain for gain in gains if not np.isnan(gain)]
    wins, mean_gain = sum(gain > 0 for gain in judged), 100 * float(np.mean(judged)) if judged else 0.0
    print(f"Agora is best on {wins} of {len(gains)}; mean gain over the best other way {mean_gain:.1f} points")
    return int(not gains or wins < 0.8 * len(gains) or mean_gain < 2)


def _complete(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Settings in their order, with the seeds that all ways have ended for."""
    for name in SETTINGS:
        found = rows[rows["setting"] == name]
        counts = found.groupby("seed")["way"].nunique()
        kept = found[found["seed"].isin(counts[counts == len(WAYS) + 1].index)]
        if len(kept):
            yield name, kept


if __name__ == "__main__":
    sys.exit(main())
