"""Several processes of one launch share one pool of Agora."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("two_processes.py")


def test_two_processes_share_the_pool_of_the_first(tmp_path: Path) -> None:
    """Each has a seed of its own, so that two pools built apart would differ."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(SCRIPT)]
    paths = os.pathsep.join([str(SCRIPT.parents[1]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert first["num_processes"] == 2
    assert first["rows"]
    assert {**first, "num_added": None} == {**second, "num_added": None}
    assert min(first["num_added"], second["num_added"]) > 0
