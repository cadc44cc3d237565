"""What a student inherits from the teacher's card, and what never gets into its own."""

import dataclasses
from pathlib import Path

import pytest

from optimum_ose.commands.provenance import provenance
from optimum_ose.commands.request import RunRequest
from optimum_ose.exceptions import InvalidConfigError


@pytest.fixture
def request_of_folder(tmp_path: Path) -> RunRequest:
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "README.md").write_text(
        "---\nlicense: other\nlicense_name: my-terms\nlicense_link: LICENSE.txt\nlanguage: [en, de]\n---\n"
    )
    data = tmp_path / "reviews.csv"
    data.write_text("text,label\n")
    return RunRequest(model=str(folder), dataset=str(data))


def test_license_and_languages_are_inherited_from_the_card_of_a_folder(request_of_folder: RunRequest) -> None:
    assert provenance(request_of_folder) == {
        "dataset_name": "reviews.csv",
        "license": "other",
        "license_name": "my-terms",
        "license_link": "LICENSE.txt",
        "languages": ["en", "de"],
    }


def test_the_base_model_of_a_folder_can_be_named(request_of_folder: RunRequest) -> None:
    named = dataclasses.replace(request_of_folder, base_model="them/large")
    assert provenance(named)["base_model"] == "them/large"


def test_a_base_model_that_is_a_path_is_refused_before_anything_is_trained(request_of_folder: RunRequest) -> None:
    named = dataclasses.replace(request_of_folder, base_model="/home/me/large")
    with pytest.raises(
        InvalidConfigError, match=r"--base-model must be a Hub id .*; got '/home/me/large'\. Leave it out"
    ):
        provenance(named)


def test_a_card_that_is_broken_or_absent_says_nothing(request_of_folder: RunRequest) -> None:
    card = Path(request_of_folder.model) / "README.md"
    for content in ("---\nlicense: [\n---\n", "---\nlicense: [1]\nlanguage: 3\n---\n", "no head", "\xff"):
        card.write_text(content, encoding="latin-1")
        assert set(provenance(request_of_folder)) <= {"dataset_name", "languages"}
        assert not provenance(request_of_folder).get("languages")
    card.unlink()
    assert provenance(request_of_folder) == {"dataset_name": "reviews.csv"}


def test_a_teacher_of_the_hub_is_the_base_model_also_where_its_card_cannot_be_had(tmp_path: Path) -> None:
    assert provenance(RunRequest(model="them/large", dataset="them/reviews")) == {
        "dataset_name": "reviews",
        "base_model": "them/large",
        "dataset_id": "them/reviews",
    }
