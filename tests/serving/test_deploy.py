"""The files under deploy/ fit the command that they start."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from optimum_ose.serving.command import add_options
from optimum_ose.serving.server import create_server
from serving.server_client import ask, running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def parsed(arguments: list[str]) -> Any:
    parser = ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kserve.yaml").read_text())
    return {document["kind"]: document["spec"] for document in documents}


def test_the_arguments_of_the_manifest_are_those_of_the_command(manifests: dict[str, Any]) -> None:
    (container,) = manifests["ServingRuntime"]["containers"]
    options = parsed(container["args"])
    assert (str(options.folder), options.host) == ("/mnt/models", "0.0.0.0")
    assert options.port == container["ports"][0]["containerPort"]
    predictor = manifests["InferenceService"]["predictor"]
    assert predictor["terminationGracePeriodSeconds"] > options.answer_seconds + options.request_seconds
    formats = [item["name"] for item in manifests["ServingRuntime"]["supportedModelFormats"]]
    assert predictor["model"]["modelFormat"]["name"] in formats


def test_the_probes_of_the_manifest_are_answered(manifests: dict[str, Any], folder: Path) -> None:
    (container,) = manifests["ServingRuntime"]["containers"]
    with running(create_server(folder, port=0, num_threads=1)) as port:
        for probe in ("readinessProbe", "livenessProbe"):
            assert ask(port, None, method="GET", path=container[probe]["httpGet"]["path"])[0] == 200


def test_the_image_starts_the_command_and_copies_what_exists() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    command = re.search(r"^CMD (.*)$", text, re.MULTILINE)
    assert command is not None
    assert str(parsed(yaml.safe_load(command[1])).folder) == "/mnt/models"
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    assert copied
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
