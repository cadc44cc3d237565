"""Owns the benchmark of other runtimes: do transformers.js in Node and optimum-onnx's ORTModel answer as we do?

Each runtime gets an environment of its own, from the npm and Python package indexes, loads the exported folder and
answers real sentences one at a time. For the same ONNX file every top label must be that of OnnxPipeline, and for the
fp32 file that of the PyTorch model as well.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from optimum_ose.data.reading import read_tables
from optimum_ose.serving import OnnxPipeline

FILES: Mapping[str, str] = {"fp32": "onnx/model.onnx", "q8": "onnx/model_quantized.onnx"}
"""transformers.js's name of a number type -> the file that it reads."""
NODE_PACKAGE = "@huggingface/transformers@4.3.1"
ORTMODEL_PACKAGES = ("optimum-onnx[onnxruntime]==0.1.0", "optimum==2.1.0", "transformers==4.57.6")
TORCH = "torch==2.13.0"
"""Installed first: its CPU build, which is no hundreds of megabytes of CUDA."""
_TEXT_COLUMNS = ("text", "sentence")
_HERE = Path(__file__).parent

Scores = list[dict[str, float]]
"""For each sentence, label -> probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One file in one runtime against one reference."""

    runtime: str
    """Who answered."""
    file: str
    """The ONNX file, relative to the folder."""
    reference: str
    """With whom it is compared."""
    num_equal: int
    """Sentences with the same top label."""
    num_sentences: int
    """Sentences asked."""
    largest_difference: float
    """Of any probability of any sentence."""
    binding: bool
    """Whether another top label is a fault; that of an int8 file may differ from the fp32 model's."""

    @property
    def kept(self) -> bool:
        """Whether nothing that binds differs."""
        return self.num_equal == self.num_sentences or not self.binding


def main() -> int:
    """Run the benchmark; the exit code is 1 if a top label differs."""
    options = _parse()
    texts = _sentences(options.data, options.text_column, options.rows)
    names = ("transformers.js", "ortmodel") if options.runtime == "all" else (options.runtime,)
    files = {dtype: file for dtype, file in FILES.items() if (options.folder / file).is_file()}
    references = {file: _asked_here(options.folder, file, texts) for file in files.values()}
    pytorch = _asked_pytorch(options.folder, texts)
    rows = _compare("OnnxPipeline", references, {}, pytorch)
    with _environments(options.environments) as root:
        for name in names:
            print(f"{name}: installing", file=sys.stderr)
            answers, versions = _RUNTIMES[name](root, options.folder.resolve(), files, texts)
            print(f"{name}: {versions}", file=sys.stderr)
            rows += _compare(name, answers, references, pytorch)
    print("| runtime | file | against | same top label | largest difference of a score |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.runtime} | {row.file} | {row.reference} | {row.num_equal} of {row.num_sentences}"
            f"{'' if row.kept else ' DIFFERS'} | {row.largest_difference:.1e} |"
        )
    return int(not all(row.kept for row in rows))


def _sentences(source: str, column: str | None, num_rows: int) -> list[str]:
    """The first sentences of the test split, or of a single file."""
    tables = read_tables(source)
    table = tables.get("test", tables["train"])
    name = column or next((name for name in _TEXT_COLUMNS if name in table.columns), None)
    if name is None:
        raise SystemExit(f"--text-column must name the column of the sentences: there are {', '.join(table.columns)}")
    return [str(text) for text in table[name][:num_rows]]


def _asked_here(folder: Path, file: str, texts: list[str]) -> Scores:
    model = OnnxPipeline.from_pretrained(folder, file_name=file)
    return [{item["label"]: item["score"] for item in model(text, top_k=None)} for text in texts]


def _asked_pytorch(folder: Path, texts: list[str]) -> Scores:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True).eval()
    found = []
    for text in texts:
        with torch.inference_mode():
            scores = model(**tokenizer(text, return_tensors="pt", truncation=True)).logits[0].softmax(-1)
        found.append({model.config.id2label[index]: score for index, score in enumerate(scores.tolist())})
    return found


def _compare(
    runtime: str, answers: Mapping[str, Scores], references: Mapping[str, Scores], pytorch: Scores
) -> list[Comparison]:
    pairs: list[tuple[str, str, Scores, Scores, bool]] = []
    for file, found in answers.items():
        if file in references:
            pairs.append((file, "OnnxPipeline", found, references[file], True))
        pairs.append((file, "PyTorch", found, pytorch, file == FILES["fp32"]))
    return [
        Comparison(
            runtime=runtime,
            file=file,
            reference=reference,
            num_equal=sum(_top(ours) == _top(theirs) for ours, theirs in zip(expected, found, strict=True)),
            num_sentences=len(expected),
            largest_difference=max(
                abs(ours[label] - theirs[label])
                for ours, theirs in zip(expected, found, strict=True)
                for label in sorted(ours.keys() | theirs.keys())
            ),
            binding=binding,
        )
        for file, reference, found, expected, binding in pairs
    ]


def _top(scores: Mapping[str, float]) -> str:
    return max(scores, key=lambda label: scores[label])


def _ask_transformers_js(
    root: Path, folder: Path, files: Mapping[str, str], texts: list[str]
) -> tuple[dict[str, Scores], str]:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise SystemExit("transformers.js needs node and npm on PATH: install Node 20 or newer")
    home = root / "transformers.js"
    home.mkdir(exist_ok=True)
    script = home / "ask_transformers_js.mjs"
    shutil.copy(_HERE / script.name, script)
    # Without this the package fetches CUDA libraries.
    install = {**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"}
    command = [npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--loglevel=error", NODE_PACKAGE]
    subprocess.run(command, env=install, check=True, stdout=sys.stderr)
    asked = {"models": str(folder.parent), "name": folder.name, "dtypes": list(files), "texts": texts}
    answers = _ask([node, str(script)], asked)
    packages = ("@huggingface/transformers", "onnxruntime-node")
    versions = [
        f"{name} {json.loads((home / 'node_modules' / name / 'package.json').read_text())['version']}"
        for name in packages
    ]
    engine = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {files[dtype]: found for dtype, found in answers.items()}, ", ".join([f"node {engine}", *versions])


def _ask_ortmodel(
    root: Path, folder: Path, files: Mapping[str, str], texts: list[str]
) -> tuple[dict[str, Scores], str]:
    home = root / "ortmodel"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for packages in ((TORCH,), ORTMODEL_PACKAGES):
        subprocess.run([*pip, "install", *packages], check=True, stdout=sys.stderr)
    asked = {"folder": str(folder), "files": list(files.values()), "texts": texts}
    answers = _ask([str(python), str(_HERE / "ask_ortmodel.py")], asked)
    frozen = subprocess.run([*pip, "freeze"], capture_output=True, text=True, check=True).stdout.split()
    wanted = ("optimum-onnx==", "optimum==", "transformers==", "onnxruntime==")
    return answers, ", ".join(line.replace("==", " ") for line in frozen if line.startswith(wanted))


_RUNTIMES = {"transformers.js": _ask_transformers_js, "ortmodel": _ask_ortmodel}


def _ask(command: list[str], asked: Mapping[str, Any]) -> dict[str, Scores]:
    """The answer of a script that reads JSON and writes JSON."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, input=json.dumps(asked), env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    answers: dict[str, Scores] = json.loads(done.stdout.splitlines()[-1])
    return answers


@contextmanager
def _environments(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with TemporaryDirectory() as scratch:
        yield Path(scratch)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example:\n  python benchmarks/interoperability.py --folder out/demo --data out/demo-data",
    )
    parser.add_argument("--folder", type=Path, required=True, help="an exported folder of text classification")
    parser.add_argument("--data", required=True, help="as `ose run --dataset`; its test split is asked")
    parser.add_argument("--text-column", help="column of the sentences (found by its usual names)")
    parser.add_argument("--rows", type=int, default=100, help="sentences to ask")
    parser.add_argument("--runtime", choices=(*_RUNTIMES, "all"), default="all", help="whom to ask")
    parser.add_argument("--environments", type=Path, help="where installed runtimes stay (a temporary folder)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
