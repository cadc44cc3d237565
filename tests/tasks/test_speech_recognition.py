"""Speech recognition the whole way: characters of sounds, word error rate, the served folder."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from datasets import Dataset
from transformers import (
    TrainingArguments,
    Wav2Vec2ForCTC,
    get_linear_schedule_with_warmup,
)
from transformers import pipeline as transformers_pipeline

from optimum_ose import Architecture, OSEOptimizer
from optimum_ose.data.request import DataRequest
from optimum_ose.data.tokenization import unlabeled_rows
from optimum_ose.data.unlabeled import read_unlabeled
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.preprocessing import NUM_SAMPLES, process_speech
from optimum_ose.serialization import read_json
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.server import create_server
from optimum_ose.tasks.parts.speech import SPEECH
from optimum_ose.tasks.parts.transcription import SpeechMetric, collapsed, num_frames, transcription
from runs import run
from serving.server_client import ask, running
from tones import HEIGHTS, RATE, listener_config, save_speaker, tone

TASK = "automatic-speech-recognition"
CLOSE = 0.002
SPOKEN = {"H": "high", "L": "low", "M": "middle"}
"""Letter -> how it sounds."""


def say(text: str, generator: np.random.Generator) -> np.ndarray:
    """A tone for each letter, silence for each space."""
    pause = np.zeros(int(0.02 * RATE), dtype=np.float32)
    parts = [pause if letter == " " else tone(SPOKEN[letter.upper()], generator, seconds=0.06) for letter in text]
    return np.concatenate([part for item in parts for part in (item, pause)])


def save_speech(folder: Path, *, texts_as: str = "text") -> Path:
    """Sounds beside a metadata.csv in each split."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 120), ("validation", 24), ("test", 24)):
        (folder / split).mkdir(parents=True)
        lines = [f"file_name,{texts_as}"]
        for number in range(count):
            text = "".join(generator.choice(list("hlm"), 2)) + " " + "".join(generator.choice(list("hlm"), 1))
            soundfile.write(folder / split / f"{number}.wav", say(text, generator), RATE)
            lines.append(f"{number}.wav,{text}")
        (folder / split / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech(tmp_path_factory.mktemp("speech"))


def save_trained_speaker(folder: Path) -> Path:
    """The same with a head that has learned to write, in a few seconds."""
    optimizer = OSEOptimizer.from_pretrained(save_speaker(folder), task=TASK)
    model, processor, generator = optimizer.teacher, optimizer.tokenizer, np.random.default_rng(0)
    texts = ["".join(generator.choice(list("HLM"), 2)) + " " + str(generator.choice(list("HLM"))) for _ in range(120)]
    rows = [{"audio": say(text, generator), "labels": processor.tokenizer(text).input_ids} for text in texts]
    steps = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    schedule = get_linear_schedule_with_warmup(steps, 20, 400)
    torch.manual_seed(0)
    for _ in range(400):
        batch = process_speech(processor)([rows[index] for index in generator.choice(len(rows), 16, replace=False)])
        model(batch["input_values"], labels=batch["labels"]).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()
        schedule.step()
        steps.zero_grad()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one command makes of a trained model."""
    folder = tmp_path_factory.mktemp("run")
    model = save_trained_speaker(folder / "model")
    axes = {"conv_dim": [16], "hidden_size": [32], "num_hidden_layers": [1, 2], "intermediate_size": [64]}
    config = {
        "search": {"max_training_steps": 2, "max_evaluations": 3, "axes": {**axes, "num_attention_heads": [4]}},
        "distillation": {"num_steps": 60, "learning_rate": 2e-3, "batch_size": 16},
        "student_arguments": {"num_train_epochs": 1},
        "export": {"block_seconds": 0.02},
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = ["run", "--model", model, "--task", TASK, "--dataset", data, "--output", folder / "out"]
    with pytest.MonkeyPatch.context() as patch:
        run(patch, [str(word) for word in (*words, "--config", folder / "config.json")])
    return folder / "out"


def spoken(data: Path) -> tuple[list[str], list[str]]:
    lines = (data / "test" / "metadata.csv").read_text().splitlines()[1:]
    return [str(data / "test" / line.split(",")[0]) for line in lines], [line.split(",")[1].upper() for line in lines]


def test_reported_score_is_that_of_the_served_folder_on_raw_files(finished: Path, data: Path) -> None:
    scores = read_json(finished / "ose" / "benchmark.json")["scores"]["student"]
    paths, texts = spoken(data)
    said = [answer["text"] for answer in OnnxPipeline.from_pretrained(finished, file_name="onnx/model.onnx")(paths)]
    served = SpeechMetric(listener_config()).judged(said, texts)
    assert scores["onnx-fp32"] == pytest.approx(served, abs=CLOSE)
    assert scores["pytorch-fp32"] == pytest.approx(served, abs=CLOSE)
    assert served["word_accuracy"] > 0.5


def test_texts_are_those_of_transformers(finished: Path, data: Path) -> None:
    own = OnnxPipeline.from_pretrained(finished, file_name="onnx/model.onnx")
    theirs = transformers_pipeline(TASK, model=str(finished))
    for path in spoken(data)[0][::5]:
        samples, _ = soundfile.read(path, dtype="float32")
        assert own(path) == theirs({"raw": samples, "sampling_rate": RATE})


def test_the_server_writes_what_is_said(finished: Path, data: Path) -> None:
    own, content = OnnxPipeline.from_pretrained(finished), Path(spoken(data)[0][0]).read_bytes()
    with running(create_server(finished, port=0, num_threads=1)) as port:
        assert ask(port, None, method="GET", path="/ready")[0] == 200
        assert ask(port, content) == (200, own(content))


def test_a_trained_head_goes_every_verb_from_python(finished: Path, data: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(finished, task=TASK)
    paths, texts = spoken(data)
    rows = Dataset.from_dict({"audio": paths, "text": texts})
    sizes = {"conv_dim": 16, "hidden_size": 16, "intermediate_size": 32}
    student = optimizer.initialize(
        Architecture(num_hidden_layers=1, num_attention_heads=2, **sizes), calibration_dataset=rows
    )
    assert isinstance(student, Wav2Vec2ForCTC)
    optimizer.export(student, tmp_path / "out")
    served = optimizer.served_scores(tmp_path / "out", rows, file_name="onnx/model.onnx")
    assert served == pytest.approx(optimizer.scores(student, rows), abs=CLOSE)


def test_a_new_head_has_an_output_for_each_character_and_learns(tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(save_speaker(tmp_path / "model"), task=TASK)
    config = optimizer.teacher.config
    assert (config.vocab_size, config.pad_token_id) == (len(optimizer.tokenizer.tokenizer), 0)
    rows = SPEECH.read(DataRequest(source=str(save_speech(tmp_path / "data"))))
    few = rows.train.select(range(32))
    arguments = TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=1, report_to="none", use_cpu=True, dataloader_pin_memory=False
    )
    assert set(optimizer.finetune_teacher(few, few, arguments)) == {"word_accuracy", "wer", "cer"}
    assert optimizer.has_head


def test_a_head_for_another_vocabulary_is_refused(finished: Path, tmp_path: Path) -> None:
    save_speaker(tmp_path)
    Wav2Vec2ForCTC(listener_config(vocab_size=7)).save_pretrained(tmp_path)
    with pytest.raises(InvalidConfigError, match="an output for each character of vocab.json"):
        OSEOptimizer.from_pretrained(tmp_path, task=TASK)


def test_rows_in_which_nothing_is_said_are_left_out_and_counted(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"{data}/train/{number}.wav,{'' if number < 3 else 'h l'}" for number in range(12)]
    (tmp_path / "train.csv").write_text("\n".join(["audio,transcription", *lines]) + "\n")
    with caplog.at_level(logging.WARNING):
        splits = SPEECH.read(DataRequest(source=str(tmp_path)))
    assert sum(len(rows) for rows in (splits.train, splits.validation, splits.test)) == 9
    assert "3 of 12 rows of train are left out: nothing is said in them" in caplog.text


def test_sounds_without_texts_are_refused(tmp_path: Path) -> None:
    folder = save_speech(tmp_path / "speech", texts_as="speaker")
    with pytest.raises(InvalidDataError, match="needs a column of what is said"):
        SPEECH.read(DataRequest(source=str(folder)))


def test_frames_are_counted_as_the_model_makes_them() -> None:
    model = Wav2Vec2ForCTC(listener_config())
    for count in (100, 401, 4000, 16_001):
        assert num_frames(model.config, count) == int(model._get_feat_extract_output_lengths(count))


@pytest.mark.parametrize(
    ("best", "tokens"), [([0, 3, 3, 0, 3, 4, 4, 0], [3, 3, 4]), ([0, 0], []), ([5], [5]), ([], [])]
)
def test_repetitions_and_blanks_are_removed(best: list[int], tokens: list[int]) -> None:
    assert collapsed(best, 0) == tokens


def test_the_heights_have_letters() -> None:
    assert set(SPOKEN.values()) == set(HEIGHTS)


def test_sounds_without_texts_do_not_teach_silence() -> None:
    config = listener_config()
    torch.manual_seed(0)
    logits = torch.randn(2, num_frames(config, 4000), 6, requires_grad=True)
    label_loss = transcription(config).label_loss
    assert label_loss is not None

    def loss(labels: list[list[int]], rows: slice = slice(None)) -> torch.Tensor:
        batch = {"labels": torch.tensor(labels)[rows], NUM_SAMPLES: torch.tensor([4000, 3000])[rows]}
        return label_loss(SimpleNamespace(logits=logits[rows]), batch)

    labels = [[3, 4], [-100, -100]]
    torch.testing.assert_close(loss(labels), loss(labels, slice(0, 1)))
    nothing = loss([[-100, -100]] * 2)
    nothing.backward()
    assert nothing == 0.0
    assert not logits.grad.any()


def test_a_sound_without_a_text_has_one_mark(tmp_path: Path) -> None:
    like = Dataset.from_dict({"audio": [[0.0] * 50], "labels": [[3, 4]]})
    found = unlabeled_rows(Dataset.from_dict({"audio": [[0.5] * 40] * 2}), like=like)
    assert found["labels"][:] == [[-100]] * 2


def test_text_without_labels_does_not_join_sounds(data: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("hl m\n")
    with pytest.raises(InvalidDataError, match=r"joins tasks of single texts; rows of this one have .*audio"):
        read_unlabeled(tmp_path / "more.txt", SPEECH.read(DataRequest(source=str(data))))
