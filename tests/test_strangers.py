"""A model folder from a stranger runs no code, loads no pickle, and reads and publishes nothing outside of itself."""

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors import safe_open

from export.tiny_text import save, tiny_classifier
from optimum_ose.artifact import OSEArtifact
from optimum_ose.commands.request import reopen
from optimum_ose.exceptions import InvalidConfigError, OSEError, OutputFolderError, UnsupportedModelError
from optimum_ose.hub.upload import layout_files
from optimum_ose.pipeline.optimizer import OSEOptimizer
from optimum_ose.progress import SilentListener
from optimum_ose.serving.pipeline import OnnxPipeline


class Payload:
    """What writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.marker, "unpickled")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Exists once a stranger's code has run."""
    return tmp_path / "marker"


@pytest.fixture
def folder(tmp_path: Path, marker: Path) -> Path:
    """A good model with a module and a pickle beside it that nobody asked for."""
    folder = save(tiny_classifier(), tmp_path / "model")
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).write_text('imported')\n")
    with (folder / "evil.bin").open("wb") as stream:
        pickle.dump(Payload(marker), stream)
    return folder


def edit(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def load(folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(str(folder), task="text-classification")


def test_the_payload_would_be_noticed(folder: Path, marker: Path) -> None:
    with (folder / "evil.bin").open("rb") as stream:
        pickle.load(stream)
    assert marker.exists()


def test_a_known_model_type_is_built_from_the_library_s_own_code(folder: Path, marker: Path) -> None:
    edit(folder / "config.json", auto_map={"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"})
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]})
    assert type(load(folder).teacher).__module__.startswith("transformers.")
    assert not marker.exists()
    assert not any(name.endswith("evil") for name in sys.modules)


def test_a_model_type_of_the_folder_s_own_is_refused(folder: Path, marker: Path) -> None:
    edit(folder / "config.json", model_type="stranger", auto_map={"AutoConfig": "evil.C"})
    with pytest.raises(UnsupportedModelError, match=r"must be one that this transformers version knows; .*custom code"):
        load(folder)
    assert not marker.exists()


def test_weights_that_are_only_there_as_a_pickle_are_refused(folder: Path, marker: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "evil.bin").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        InvalidConfigError, match=r"a Transformers model in safetensors .* no file named model.safetens"
    ):
        load(folder)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "{root}/outside.safetensors", "evil.bin", "a/b.safetensors"]
)
def test_an_index_that_names_anything_but_safetensors_beside_it_is_refused(
    folder: Path, marker: Path, tmp_path: Path, name: str
) -> None:
    with safe_open(folder / "model.safetensors", "pt") as weights:
        listed = dict.fromkeys(weights.keys(), name.format(root=tmp_path))
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    with pytest.raises(InvalidConfigError, match=r"index.json must name safetensors files beside it; .*Do not use"):
        load(folder)
    assert not marker.exists()


@pytest.mark.parametrize("content", ["[]", "{", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', "[" * 100_000])
def test_a_damaged_index_is_an_error_of_ours(folder: Path, content: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InvalidConfigError):
        load(folder)


def test_weights_in_several_files_are_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    tiny_classifier().save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    assert load(folder).teacher.num_parameters() == tiny_classifier().num_parameters()


@pytest.mark.parametrize("location", ["../secret.bin", "{root}/secret.bin"])
def test_an_onnx_file_cannot_read_its_weights_from_outside_of_the_folder(
    folder: Path, tmp_path: Path, location: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(np.arange(32, dtype=np.float32).tobytes())
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[32], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location.format(root=tmp_path))
    node = helper.make_node("Identity", ["weights"], ["logits"])
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [32])
    graph = helper.make_graph([node], "stranger", [ids], [logits], [weights])
    (folder / "onnx").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    assert onnx.load(folder / "onnx" / "model.onnx", load_external_data=False).graph.initializer
    with pytest.raises(OSEError):
        OnnxPipeline.from_pretrained(folder)


def test_a_record_that_asks_for_trust_does_not_give_it(folder: Path, marker: Path, tmp_path: Path) -> None:
    edit(folder / "config.json", model_type="stranger", auto_map={"AutoConfig": "evil.C"})
    request = {"model": str(folder), "dataset": str(tmp_path), "trust_remote_code": True}
    OSEArtifact.create(tmp_path / "out", question={}, request=request)
    with pytest.raises(InvalidConfigError, match=r"must be trusted by whoever runs it; .* Give --trust-remote-code if"):
        reopen(tmp_path / "out", SilentListener())
    assert not marker.exists()


def test_a_link_that_leads_out_of_the_folder_is_not_published(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    (folder / "README.md").symlink_to(tmp_path / "key")
    with pytest.raises(OutputFolderError, match=r"its files itself; README.md lead out of it, or to nothing\. Copy"):
        layout_files(folder)
    shutil.copy(tmp_path / "key", folder / "card")
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(folder / "card")
    assert "README.md" in layout_files(folder)
