"""The machine is described without telling whose it is, and its other work is seen."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from optimum_ose.export.machine import describe_machine, foreign_cpu_seconds


def test_the_description_is_json_with_processor_versions_and_no_host_name() -> None:
    facts = describe_machine()
    assert facts["num_cores"] == os.cpu_count()
    assert 1 <= facts["num_usable_cores"] <= facts["num_cores"]
    assert facts["libraries"]["numpy"] == np.__version__
    assert {"torch", "onnxruntime", "transformers"} <= set(facts["libraries"])
    assert not platform.node() or platform.node() not in json.dumps(facts)
    assert str(Path.home()) not in json.dumps(facts)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell")
def test_cpu_time_of_another_process_is_counted_and_our_own_is_not() -> None:
    before, start = foreign_cpu_seconds(), time.process_time()
    while time.process_time() - start < 0.3:
        pass
    own = foreign_cpu_seconds()
    burn = "import time\nwhile time.process_time() < 0.6: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    after = foreign_cpu_seconds()
    assert before is not None
    assert own is not None
    assert after is not None
    assert after - own > 0.5
    assert before <= own + 0.05
