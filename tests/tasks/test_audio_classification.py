"""Audio classification the whole way: folders of sounds, waveforms, the served folder."""

import base64
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from datasets import Dataset
from transformers import pipeline as transformers_pipeline

from optimum_ose import Architecture, OSEOptimizer
from optimum_ose.data.request import DataRequest
from optimum_ose.exceptions import InvalidDataError, UnsupportedModelError
from optimum_ose.serialization import read_json
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.server import create_server
from optimum_ose.tasks.parts.sounds import SOUNDS
from runs import run
from serving.server_client import ask, predict, running
from tones import HEIGHTS, RATE, save_listener, save_tones, tone

TASK = "audio-classification"
CLOSE = 0.002


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one command makes of an encoder without a head."""
    folder = tmp_path_factory.mktemp("run")
    model = save_listener(folder / "model")
    config = {
        "search": {"max_training_steps": 2, "max_evaluations": 3, "axes": {"conv_dim": [16], "hidden_size": [16, 32]}},
        "distillation": {"num_steps": 120, "learning_rate": 3e-3, "batch_size": 16},
        "student_arguments": {"num_train_epochs": 1},
        "teacher_arguments": {"num_train_epochs": 25, "learning_rate": 3e-3},
        "export": {"block_seconds": 0.02},
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = ["run", "--model", model, "--task", TASK, "--dataset", data, "--output", folder / "out"]
    with pytest.MonkeyPatch.context() as patch:
        run(patch, [str(word) for word in (*words, "--config", folder / "config.json")])
    return folder / "out"


def paths_of(data: Path) -> tuple[list[str], list[str]]:
    paths = sorted((data / "test").glob("*/*.wav"))
    return [str(path) for path in paths], [path.parent.name for path in paths]


def test_reported_score_is_that_of_the_served_folder_on_raw_files(finished: Path, data: Path) -> None:
    scores = read_json(finished / "ose" / "benchmark.json")["scores"]["student"]
    pipeline = OnnxPipeline.from_pretrained(finished, file_name="onnx/model.onnx")
    paths, names = paths_of(data)
    found = [answer[0]["label"] for answer in pipeline(paths, top_k=1)]
    served = np.mean([label == name for label, name in zip(found, names, strict=True)])
    assert scores["onnx-fp32"]["accuracy"] == pytest.approx(served, abs=CLOSE)
    assert scores["pytorch-fp32"]["accuracy"] == pytest.approx(served, abs=CLOSE)
    assert served > 0.8


def test_answers_are_those_of_transformers(finished: Path, data: Path) -> None:
    own = OnnxPipeline.from_pretrained(finished, file_name="onnx/model.onnx")
    theirs = transformers_pipeline(TASK, model=str(finished))
    for path in paths_of(data)[0][::7]:
        samples, _ = soundfile.read(path, dtype="float32")
        expected = theirs({"raw": samples, "sampling_rate": RATE})
        for inputs in (path, Path(path).read_bytes(), samples, {"raw": samples, "sampling_rate": RATE}):
            found = own(inputs)
            assert [item["label"] for item in found] == [item["label"] for item in expected]
            assert [item["score"] for item in found] == pytest.approx([item["score"] for item in expected], abs=1e-4)


def test_sounds_of_another_rate_or_with_two_channels_are_brought_to_one_form(finished: Path, tmp_path: Path) -> None:
    generator, pipeline = np.random.default_rng(5), OnnxPipeline.from_pretrained(finished)
    for name in HEIGHTS:
        wave = tone(name, generator, rate=16_000)
        soundfile.write(tmp_path / f"{name}.flac", np.stack([wave, wave], axis=1), 16_000)
    found = [pipeline(str(tmp_path / f"{name}.flac"), top_k=1)[0]["label"] for name in HEIGHTS]
    assert found == list(HEIGHTS)


def test_a_file_that_claims_an_absurd_rate_is_refused(finished: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1000, dtype=np.float32), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = (2**31 - 1).to_bytes(4, "little")  # samples per second, in the head of a WAV file
    with pytest.raises(InvalidDataError, match="at most 192,000 samples a second"):
        OnnxPipeline.from_pretrained(finished)(bytes(content))


def test_sounds_that_are_cut_are_told(finished: Path) -> None:
    told: list[str] = []
    optimizer = OSEOptimizer.from_pretrained(finished, task=TASK)
    optimizer.listener.say = told.append  # type: ignore[method-assign]
    optimizer.rows(Dataset.from_dict({"audio": [[0.1] * (31 * RATE)], "label": ["low"]}))
    assert any("longer than 30 seconds and are cut" in message for message in told)


def test_a_trained_head_goes_every_verb_from_python(finished: Path, data: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(finished, task=TASK)
    rows = SOUNDS.read(DataRequest(source=str(data)))
    paths = Dataset.from_dict({"audio": paths_of(data)[0], "label": paths_of(data)[1]})
    small = Architecture(num_hidden_layers=1, num_attention_heads=1, hidden_size=16, intermediate_size=8)
    student = optimizer.initialize(small, calibration_dataset=rows.train)
    optimizer.export(student, tmp_path / "out")
    served = optimizer.served_scores(tmp_path / "out", rows.test, file_name="onnx/model.onnx")
    assert served == pytest.approx(optimizer.scores(student, rows.test), abs=CLOSE)
    assert served == pytest.approx(optimizer.scores(student, paths), abs=CLOSE)


def test_sounds_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save_tones(tmp_path / "tones")
    (folder / "train" / "low" / "0.wav").write_bytes(b"RIFF")
    (folder / "train" / "low" / "1.wav").write_bytes(b"")
    soundfile.write(folder / "train" / "low" / "2.wav", np.zeros(10, dtype=np.float32), RATE)
    with caplog.at_level(logging.WARNING):
        rows = SOUNDS.read(DataRequest(source=str(folder))).train
    assert len(rows) == 177
    assert "3 of 180 rows of train are left out: their audio cannot be read" in caplog.text


def test_the_server_takes_sound_files(finished: Path, data: Path) -> None:
    own, content = OnnxPipeline.from_pretrained(finished), Path(paths_of(data)[0][0]).read_bytes()
    with running(create_server(finished, port=0, num_threads=1)) as port:
        assert ask(port, None, method="GET", path="/ready")[0] == 200
        assert ask(port, content) == (200, own(content))
        assert predict(port, base64.b64encode(content).decode(), top_k=1) == (200, own(content, top_k=1))
        assert predict(port, paths_of(data)[0][0])[0] == 400


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (b"no sound", "undamaged sound file"),
        ("nowhere.wav", "there is no file"),
        (np.zeros((3, 2), dtype=np.float32), "shape .samples,."),
        (np.full(4000, np.nan, dtype=np.float32), "finite"),
        (np.zeros(10, dtype=np.float32), "at least 0.05 seconds"),
        ({"raw": np.zeros(4000, dtype=np.float32)}, "samples a second"),
        (7, "must be a path"),
    ],
)
def test_what_is_no_sound_is_refused(finished: Path, inputs: object, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        OnnxPipeline.from_pretrained(finished)(inputs)


def test_a_feature_extractor_that_is_not_served_is_refused_at_the_start(tmp_path: Path) -> None:
    model = save_listener(tmp_path)
    settings = read_json(model / "preprocessor_config.json")
    changed = {**settings, "feature_extractor_type": "ASTFeatureExtractor"}
    (model / "preprocessor_config.json").write_text(json.dumps(changed))
    with pytest.raises(UnsupportedModelError, match="knows the feature extractor Wav2Vec2FeatureExtractor"):
        OSEOptimizer.from_pretrained(model, task=TASK)
