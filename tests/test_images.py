"""Image classification goes through the same rooms as text: an image processor stands where a tokenizer stands."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Image
from transformers import (
    AutoModelForImageClassification,
    BeitConfig,
    DeiTConfig,
    PretrainedConfig,
    PreTrainedModel,
    SwinConfig,
    SwinForImageClassification,
    TrainingArguments,
    ViTForImageClassification,
)

from digits import NAMES, digit_rows, digits, save, trained_vit, vit_config
from optimum_ose import (
    AgoraConfig,
    Architecture,
    DistillationConfig,
    ExportConfig,
    OSEConfig,
    OSEOptimizer,
    SearchConfig,
)
from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import LayerSelection
from optimum_ose.distillation.teaching import with_teacher_logits
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, UnsupportedModelError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.modeling.slicing import inherit_fronts
from optimum_ose.optimizer.trainer_arguments import student_arguments, teacher_arguments
from optimum_ose.question import rows_digest
from optimum_ose.serving import OnnxPipeline
from themes import word_tokenizer

TASK = "image-classification"
LABELS = ("id2label", "label2id")
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", *LABELS)
SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
RECIPE = DistillationConfig(num_steps=60, batch_size=32, learning_rate=3e-3)
SHORT = replace(RECIPE, num_steps=12, batch_size=16, checkpoint_steps=4)
TRAIN, DEV, TEST = digit_rows(0, 1200), digit_rows(1200, 1500), digit_rows(1500, 1797)
FEW = digit_rows(0, 96)


Hear = Callable[[int, str], None]


class Ear:
    """A listener that passes on how far a distillation is."""

    def __init__(self, hear: Hear) -> None:
        self._hear, self._stage = hear, ""

    def stage(self, name: str, total: int | None) -> None:
        self._stage = name

    def advance(self, done: int, note: str) -> None:
        if self._stage == "distill":
            self._hear(done, note)

    def say(self, message: str) -> None: ...

    def finish(self) -> None: ...


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(trained_vit(), tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def optimizer(vit_folder: Path) -> OSEOptimizer:
    return OSEOptimizer.from_pretrained(vit_folder, task=TASK)


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def random_vit(**changes: object) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ViTForImageClassification(vit_config(**changes)).eval()


def test_a_student_of_the_teachers_size_is_the_teacher(optimizer: OSEOptimizer) -> None:
    student = optimizer.initialize(optimizer.search_space().maximum_point, calibration_dataset=TRAIN)
    assert torch.equal(weights(student), weights(optimizer.teacher))


@pytest.mark.parametrize(("kind", "name"), [(DeiTConfig, "DeiT"), (BeitConfig, "Beit")])
def test_relatives_of_the_vit_inherit_as_it_does(
    optimizer: OSEOptimizer, kind: type[PretrainedConfig], name: str
) -> None:
    sizes = {name: value for name, value in vit_config().to_dict().items() if name in SIZES}
    config = kind(**sizes, patch_size=2, architectures=[f"{name}ForImageClassification"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        teacher = AutoModelForImageClassification.from_config(config).eval()
    relative = OSEOptimizer(teacher, optimizer.tokenizer, task=TASK)
    same = relative.initialize(relative.search_space().maximum_point, calibration_dataset=FEW)
    assert torch.equal(weights(same), weights(teacher))
    narrow = Architecture(num_hidden_layers=2, num_attention_heads=2, hidden_size=16, intermediate_size=64)
    answers = [
        torch.from_numpy(predict_logits(model, relative.rows(FEW), tokenizer=relative.tokenizer))
        for model in (teacher, relative.initialize(narrow), inherit_fronts(teacher, narrow, task=TASK))
    ]
    assert (answers[1] - answers[0]).norm() < 0.5 * (answers[2] - answers[0]).norm()


@pytest.mark.parametrize("selection", ["block-influence", "loss-when-dropped"])
def test_a_layer_that_does_nothing_is_the_first_to_go(optimizer: OSEOptimizer, selection: LayerSelection) -> None:
    teacher = random_vit(num_hidden_layers=3)
    idle = teacher.vit.layers[0]
    for module in (idle.attention.o_proj, idle.mlp.fc2):
        torch.nn.init.zeros_(module.weight)
    relative = OSEOptimizer(teacher, optimizer.tokenizer, task=TASK)
    whole = relative.search_space().maximum_point
    student = relative.initialize(
        Architecture({**whole, "num_hidden_layers": 2}), calibration_dataset=FEW, layer_selection=selection
    )
    ours, expected = (
        predict_logits(model, relative.rows(FEW), tokenizer=relative.tokenizer) for model in (student, teacher)
    )
    assert abs(ours - expected).max() < 1e-3 * abs(expected).max()


def test_a_distilled_student_beats_its_own_start_and_one_from_scratch(optimizer: OSEOptimizer) -> None:
    student = optimizer.initialize(SMALL, calibration_dataset=TRAIN)
    start = optimizer.score(student, DEV)
    fronts = inherit_fronts(optimizer.teacher, SMALL, task=TASK)
    assert start > optimizer.score(fronts, DEV)  # repaired
    scratch = optimizer.initialize(SMALL, scratch_seed=0)
    for model in (student, scratch):
        optimizer.distill(model, TRAIN, RECIPE)
    assert optimizer.score(student, DEV) > start
    assert optimizer.score(student, DEV) > optimizer.score(scratch, DEV)


@pytest.mark.parametrize("keeps_answers", [False, True])
def test_killed_and_gone_on_it_ends_with_the_same_weights(
    optimizer: OSEOptimizer, tmp_path: Path, keeps_answers: bool
) -> None:
    state = tmp_path / "state"

    class KilledError(Exception):
        pass

    def kill(step: int, _note: str) -> None:
        if step == 7:
            raise KilledError

    def distilled(hear: Hear = lambda _step, _note: None, *, folder: Path | None = state) -> torch.Tensor:
        heard = OSEOptimizer(optimizer.teacher, optimizer.tokenizer, task=TASK, listener=Ear(hear))
        student = heard.initialize(SMALL, scratch_seed=0)
        answers = tmp_path / "answers" if keeps_answers else None
        return weights(heard.distill(student, FEW, SHORT, checkpoint_folder=folder, answers_folder=answers))

    with pytest.raises(KilledError):
        distilled(kill)
    assert [path.name for path in state.iterdir()] == ["step-00000004"]
    assert torch.equal(distilled(), distilled(folder=None))
    assert (tmp_path / "answers").is_dir() == keeps_answers


def test_answers_on_the_disk_are_those_in_memory_and_are_not_computed_again(
    optimizer: OSEOptimizer, tmp_path: Path
) -> None:
    rows = optimizer.rows(FEW)
    kept = [
        with_teacher_logits(rows, optimizer.teacher, tokenizer=optimizer.tokenizer, folder=folder)
        for folder in (None, tmp_path, tmp_path)
    ]
    assert kept[0]["teacher_logits"][:] == kept[1]["teacher_logits"][:] == kept[2]["teacher_logits"][:]
    assert len(list(tmp_path.iterdir())) == 1
    expected = predict_logits(optimizer.teacher, rows, tokenizer=optimizer.tokenizer, batch_size=7)
    np.testing.assert_allclose(np.array(kept[1]["teacher_logits"][:]), expected, atol=1e-5)


def test_pixels_identify_rows_whatever_their_files_are_and_digests_of_text_stay(tmp_path: Path) -> None:
    images, _ = digits()
    for index in range(3):
        Image().decode_example(Image().encode_example(images[index])).save(tmp_path / f"{index}.png")
    paths = Dataset.from_dict({"image": [str(tmp_path / f"{index}.png") for index in range(3)]})
    files = paths.cast_column("image", Image())
    assert rows_digest(files) == rows_digest(digit_rows(0, 3).select_columns(["image"]))
    assert rows_digest(files) != rows_digest(digit_rows(1, 4).select_columns(["image"]))
    text = Dataset.from_dict({"text": ["a", "b c"], "label": [0, 1]})
    assert rows_digest(text) == "29b0f93a4e16e36f2b9d1c6c2b789aace63aa326998062662fa30db6e676972f"


def test_arrays_are_images_and_rows_keep_images_as_they_are(optimizer: OSEOptimizer) -> None:
    images, classes = digits()
    arrays = Dataset.from_dict({"image": list(images[:40]), "label": classes[:40].tolist()})
    arrays = arrays.cast_column("label", TRAIN.features["label"])
    assert arrays.features["image"] != TRAIN.features["image"]
    rows, same = optimizer.rows(arrays), optimizer.rows(digit_rows(0, 40))
    assert same.column_names == ["image", "labels"]
    assert optimizer.rows(same) is same
    found, expected = (predict_logits(optimizer.teacher, r, tokenizer=optimizer.tokenizer) for r in (rows, same))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.rename_column("image", "picture"), "must have the columns image and label; it has picture"),
        (lambda rows: rows.remove_columns("label"), "must have the columns image and label; it has image. Rename"),
        (lambda rows: Dataset.from_dict({"image": ["a.png"], "label": [0]}), r"must hold images: .*; its feature is V"),
        (
            lambda rows: Dataset.from_dict({"image": [np.zeros((8, 8))], "label": [0]}),
            r"whole numbers 0 to 255 \(uint8\); .*float64.*Cast it",
        ),
        (
            lambda rows: rows.remove_columns("label").add_column("label", ["a"] * len(rows)),
            "classes of the data must be those of the teacher's head; the data has 1: a; the teacher has 10: digit 0",
        ),
        (
            lambda rows: rows.remove_columns("label").add_column("label", [0] * len(rows)),
            "classes of the data must be those of the teacher's head; the data has 1: 0; the teacher has 10: digit 0",
        ),
    ],
)
def test_other_rows_are_refused(optimizer: OSEOptimizer, change: Callable[[Dataset], Dataset], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        optimizer.rows(change(FEW))


def test_images_without_labels_teach_through_the_teacher_alone(optimizer: OSEOptimizer) -> None:
    first, second = FEW.select(range(48)), FEW.select(range(48, 96))
    student, other = (optimizer.initialize(SMALL, scratch_seed=0) for _ in range(2))
    silent = replace(SHORT, labels_weight=0.0)
    optimizer.distill(student, first, silent, unlabeled_dataset=second.select_columns(["image"]))
    optimizer.distill(other, FEW, silent)
    assert torch.equal(weights(student), weights(other))


@pytest.mark.parametrize("term", ["relation_weight", "attention_weight", "hidden_weight"])
def test_a_term_alone_makes_the_student_imitate(vit_folder: Path, optimizer: OSEOptimizer, term: str) -> None:
    teacher = AutoModelForImageClassification.from_pretrained(vit_folder, attn_implementation="eager")
    losses: list[float] = []
    ear = Ear(lambda _step, note: losses.append(float(note.removeprefix("loss "))))
    eager = OSEOptimizer(teacher.eval(), optimizer.tokenizer, task=TASK, listener=ear)
    student = eager.initialize(SMALL, scratch_seed=0)
    student.set_attn_implementation("eager")
    alone = {"logits_weight": 0.0, "labels_weight": 0.0, term: 1.0}
    eager.distill(student, FEW, replace(RECIPE, learning_rate=1e-2, **alone))
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_terms_of_layers_need_layers_that_show_the_same_tokens(optimizer: OSEOptimizer) -> None:
    sizes = {"image_size": 8, "patch_size": 2, "window_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}
    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {name: index for index, name in enumerate(NAMES)}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        swin = OSEOptimizer(
            SwinForImageClassification(SwinConfig(**sizes, **labels)).eval(), optimizer.tokenizer, task=TASK
        )
    student = swin.initialize(swin.search_space().maximum_point, calibration_dataset=FEW)
    with pytest.raises(InvalidConfigError, match=r"show the same tokens; those of SwinForImage.* show \(16, 8\), "):
        swin.distill(student, FEW, replace(SHORT, hidden_weight=1.0))
    before = weights(student)
    swin.distill(student, FEW, SHORT)
    assert not torch.equal(weights(student), before)


def test_a_teacher_without_a_head_is_fine_tuned_and_a_student_after_it(tmp_path: Path) -> None:
    folder = save(random_vit().vit, tmp_path / "bare")
    bare = OSEOptimizer.from_pretrained(folder, task=TASK, num_labels=10)
    assert not bare.has_head
    overrides = {"num_train_epochs": 4, "learning_rate": 3e-3, "save_strategy": "no"}
    arguments = teacher_arguments(tmp_path / "t", bare.teacher.config, overrides, num_rows=len(TRAIN))
    found = bare.finetune_teacher(TRAIN, DEV, arguments)
    assert found["accuracy"] > 0.5
    assert found["accuracy"] == pytest.approx(bare.score(bare.teacher, DEV))
    assert bare.teacher.config.id2label[3] == "digit 3"
    student = bare.initialize(SMALL, calibration_dataset=TRAIN)
    start = bare.score(student, DEV)
    arguments = student_arguments(tmp_path / "s", {"num_train_epochs": 1, "learning_rate": 1e-3, "save_strategy": "no"})
    bare.finetune(student, train_dataset=TRAIN, eval_dataset=DEV, args=arguments)
    assert arguments.remove_unused_columns  # the caller's are not changed
    assert bare.score(student, DEV) > start


def test_the_whole_way_from_python(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    config = OSEConfig(
        search=SearchConfig(max_training_steps=2, max_evaluations=3, num_eval_rows=32),
        distillation=DistillationConfig(num_steps=8, learning_rate=1e-3),
        student_arguments={"num_train_epochs": 1},
        export=ExportConfig(block_seconds=0.01),
    )
    out = tmp_path / "out"
    datasets = {"train_dataset": FEW, "eval_dataset": digit_rows(1200, 1300), "test_dataset": digit_rows(1500, 1600)}
    artifact = optimizer.optimize(out, config, **datasets)
    scores = json.loads(artifact.benchmark.read_text())["scores"]["student"]
    assert scores["onnx-fp32"]["accuracy"] == scores["pytorch-fp32"]["accuracy"]
    card = artifact.card.read_text()
    assert "pipeline_tag: image-classification" in card
    assert "batch of 1 x 8 x 8 pixels" in card
    assert "tokens" not in card
    assert "Agora" not in card
    assert 'OnnxPipeline.from_pretrained("path/to/this/folder")\nprint(model("path/to/an/image.png"))' in card
    assert "curl http://127.0.0.1:8080/predict --data-binary @" in card
    examples = (artifact.stage("benchmark") or {})["examples"]
    assert [item["text"] for item in examples] == [f"image {index}, 8 x 8 pixels" for index in range(3)]
    assert [item["gold"] for item in examples] == [NAMES[label] for label in datasets["test_dataset"]["label"][:3]]
    answers = OnnxPipeline.from_pretrained(out)(datasets["test_dataset"]["image"][:3])
    assert [item["label"] for item in examples] == [answer[0]["label"] for answer in answers]
    journal = artifact.journal.read_bytes()
    again = OSEOptimizer.from_pretrained(out, task=TASK)
    student = AutoModelForImageClassification.from_pretrained(out)
    assert again.score(student, datasets["test_dataset"]) == scores["pytorch-fp32"]["accuracy"]
    optimizer.optimize(out, config, **datasets)  # all is finished
    assert artifact.journal.read_bytes() == journal


@pytest.mark.slow
def test_a_search_bounded_by_latency_times_images(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    latency = replace(SearchConfig().latency, num_candidates=8, num_rounds=3, block_seconds=0.001)
    settings = SearchConfig(
        max_training_steps=0, max_evaluations=2, num_eval_rows=8, max_latency_ms=1e4, latency=latency
    )
    found = optimizer.extract(settings, train_dataset=FEW, eval_dataset=FEW)
    assert optimizer.latency is not None
    assert optimizer.latency.winner is not None
    assert optimizer.latency.conditions["input"] == "8 x 8 pixels"
    assert found.architecture in optimizer.search_space()


def test_what_images_cannot_do_is_refused(optimizer: OSEOptimizer, tmp_path: Path) -> None:
    student = optimizer.initialize(SMALL, scratch_seed=0)
    arguments = TrainingArguments(str(tmp_path / "args"), report_to="none")
    with pytest.raises(InvalidConfigError, match="Agora makes new rows of texts .* inputs images. Pass agora=None"):
        optimizer.finetune(student, train_dataset=FEW, eval_dataset=FEW, args=arguments, agora=AgoraConfig())
    with pytest.raises(UnsupportedModelError, match="calibrated on the tokens of texts; .* Use dynamic-int8"):
        optimizer.export(student, tmp_path / "out", ExportConfig(quantization="static-int8"), calibration_dataset=FEW)
    with pytest.raises(InvalidConfigError, match=f"task {TASK} needs an image processor; got a "):
        OSEOptimizer(optimizer.teacher, word_tokenizer(), task=TASK)
    with pytest.raises(InvalidConfigError, match="task fill-mask needs a tokenizer; got a ViTImageProcessor"):
        OSEOptimizer(optimizer.teacher, optimizer.tokenizer, task="fill-mask")


def test_a_processor_that_is_not_served_is_refused_before_any_training(vit_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(vit_folder, tmp_path / "vit"))
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_processor_type": "EfficientNetImageProcessor"}))
    out, config = tmp_path / "out", OSEConfig(search=SearchConfig(max_training_steps=2, max_evaluations=3))
    with pytest.raises(UnsupportedModelError, match="knows the image processors of Beit, .*'EfficientNetImageProc"):
        OSEOptimizer.from_pretrained(folder, task=TASK).optimize(
            out, config, train_dataset=FEW, eval_dataset=DEV, test_dataset=TEST
        )
    assert not OSEArtifact(out).journal.exists()


def test_a_folder_whose_parts_do_not_fit_is_refused(vit_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(vit_folder, folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": {"height": 16, "width": 16}}))
    with pytest.raises(InvalidConfigError, match=r"as the teacher takes them; .* refuses one of shape \(3, 16, 16\)"):
        OSEOptimizer.from_pretrained(folder, task=TASK)
    path.unlink()
    with pytest.raises(InvalidConfigError, match="or for images its image processor; loading .* failed"):
        OSEOptimizer.from_pretrained(folder, task=TASK)


def test_without_pillow_a_task_of_images_says_what_to_install(vit_folder: Path) -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from optimum_ose import OSEOptimizer\n"
        f"OSEOptimizer.from_pretrained({str(vit_folder)!r}, task={TASK!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "need the package pillow; it is not installed. pip install 'optimum-ose[vision]'" in done.stderr
