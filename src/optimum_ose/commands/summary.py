"""Prints what a finished run found."""

from optimum_ose.artifact import OSEArtifact
from optimum_ose.report.table import comparison_table
from optimum_ose.serialization import read_json


def print_summary(artifact: OSEArtifact) -> None:
    """The comparison, the certificate, three example predictions, and where everything lies."""
    benchmark, search = read_json(artifact.benchmark), read_json(artifact.search)
    chosen = ", ".join(f"{axis}={value}" for axis, value in search["winner"]["architecture"].items())
    print(comparison_table(benchmark))
    print(f"\nArchitecture: {chosen}\n{search['certificate']['statement']}")
    examples = (artifact.stage("benchmark") or {}).get("examples", [])
    if examples:
        print("\nThree rows of the test split, answered by the default ONNX file:")
    for example in examples:
        print(f"  {example['label']} ({example['score']:.2f}; labeled {example['gold']}): {example['text'][:100]}")
    print(f"\nEverything is in {artifact.path}; try: optimum-cli ose serve {artifact.path}")
