"""The README's section on own people: its commands, run on generated pictures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECTION = "## Train on your own people"
#: What `make build` makes of this checkout, and which program needs it.
BUILT = {"reidctl": "target/release/reidctl", "gst-launch-1.0": "target/gst-plugin/libgstreid.so"}


def commands() -> list[str]:
    """The lines of the section's block."""
    section = (ROOT / "README.md").read_text().split(SECTION, 1)[1]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def is_built(line: str) -> bool:
    """Whether what the line needs is there."""
    program = line.split()[0]
    return (ROOT / BUILT[program]).exists() and (program == "reidctl" or shutil.which(program) is not None)


def run(line: str, folder: Path) -> None:
    script = f'eval "$("{ROOT}/scripts/env.sh")"; {line}'
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=600, env=environment())
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "models/training"), "OMP_NUM_THREADS": "1"}


def test_ten_lines_make_an_embedder_of_ones_own(tree: Path, tmp_path: Path) -> None:
    lines = commands()
    assert 3 <= len(lines) <= 10
    shutil.copytree(tree, tmp_path / "my-people")
    (tmp_path / "my-people/person-0").rename(tmp_path / "my-people/anna")
    (tmp_path / "models").symlink_to(ROOT / "models")
    install = [line for line in lines if " venv" in line.split("-m", 1)[-1][:6] or line.startswith("venv/bin/pip")]
    assert len(install) == 2, "the environment is made and filled; the tests run in one"
    train = next(line for line in lines if "-m reid_training train" in line)
    run(train.replace("venv/bin/python", sys.executable), tmp_path)
    assert (tmp_path / "own/own-people.onnx").stat().st_size > 10_000
    use = [line for line in lines if line not in install and line != train]
    assert len(use) == 2
    built = [line for line in use if is_built(line)]
    for line in built:
        run(line.replace("num-buffers=300", "num-buffers=10"), tmp_path)
    if len(built) < len(use):
        pytest.skip("trained; the use of the model is tested after 'make build'")
