"""Emissions come from codecarbon's own file, in its own unit."""

from pathlib import Path

import pytest

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.report.carbon import read_carbon

# Columns as codecarbon 3.3.2 wrote them; most are left out.
HEADER = "timestamp,project_name,duration,emissions,emissions_rate,country_name,codecarbon_version,cpu_model\n"
ROW = "2026-11-21T15:36:18,,1.41,{kilograms},1.5e-07,France,3.3.2,AMD EPYC\n"


def test_the_runs_of_a_file_are_summed_in_grams(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    path.write_text(HEADER + ROW.format(kilograms="0.0015") + ROW.format(kilograms="2.5e-04"))
    found = read_carbon(path)
    assert found is not None
    assert found.grams == pytest.approx(1.75)
    assert (found.source, found.hardware, found.location) == ("codecarbon 3.3.2", "AMD EPYC", "France")


def test_no_file_means_that_nothing_is_known(tmp_path: Path) -> None:
    assert read_carbon(tmp_path / "emissions.csv") is None


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", HEADER, HEADER + ROW.format(kilograms="much"), "\0"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "emissions.csv"
    path.write_text(content)
    with pytest.raises(InvalidConfigError, match=r"must hold what codecarbon writes.*Remove it, or track a run again"):
        read_carbon(path)


def test_emissions_that_are_no_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    path.write_text(HEADER + ROW.format(kilograms="nan"))
    with pytest.raises(InvalidConfigError, match=r"must hold finite emissions; they sum up to nan\. Remove the file"):
        read_carbon(path)
