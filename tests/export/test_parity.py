"""A comparison finds what differs, and nothing else."""

from pathlib import Path

import pytest
import torch

from export.tiny_text import tiny_classifier, tiny_tokenizer
from optimum_ose.exceptions import ExportError
from optimum_ose.export.onnx_export import export_onnx
from optimum_ose.export.parity import check_parity

TOKENIZER = tiny_tokenizer()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(tiny_classifier(), TOKENIZER, tmp_path_factory.mktemp("exported"))


def test_a_small_change_of_one_weight_is_found(exported: Path) -> None:
    model = tiny_classifier()
    with torch.no_grad():
        model.classifier.bias[0] += 0.01
    with pytest.raises(ExportError, match=r"is 0\.01"):
        check_parity(model, exported, TOKENIZER)
    assert check_parity(model, exported, TOKENIZER, tolerance=0.02).worst_difference == pytest.approx(0.01, rel=1e-3)


def test_the_tolerance_grows_with_the_outputs(exported: Path, tmp_path: Path) -> None:
    model = tiny_classifier()
    with torch.no_grad():
        model.classifier.weight *= 1000
        model.classifier.bias *= 1000
    path = export_onnx(model, TOKENIZER, tmp_path, tolerance=1e-5)
    assert check_parity(model, path, TOKENIZER, tolerance=1e-5).largest_output > 100


def test_an_output_that_is_not_a_number_is_refused(exported: Path) -> None:
    model = tiny_classifier()
    with torch.no_grad():
        model.classifier.bias[0] = torch.nan
    with pytest.raises(ExportError, match=r"the largest difference over the shapes .* is inf"):
        check_parity(model, exported, TOKENIZER)


def test_another_number_of_labels_is_refused(exported: Path) -> None:
    with pytest.raises(ExportError, match="is inf"):
        check_parity(tiny_classifier(num_labels=5), exported, TOKENIZER)


def test_the_shapes_are_cut_to_what_the_model_takes(exported: Path) -> None:
    parity = check_parity(tiny_classifier(), exported, TOKENIZER, shapes=((2, 500), (1, 5)))
    assert parity.shapes == ((2, 64), (1, 5))


def test_the_tolerance_that_a_message_proposes_is_enough(exported: Path) -> None:
    model = tiny_classifier()
    with pytest.raises(ExportError, match="Set the tolerance to") as caught:
        check_parity(model, exported, TOKENIZER, tolerance=1e-12)
    proposed = float(caught.value.remedy.removeprefix("Set the tolerance to ").split()[0])
    check_parity(model, exported, TOKENIZER, tolerance=proposed)
