#!/bin/sh
# Smoke test of the training recipes on generated pictures: two minutes on two cores once everything is installed.
# REID_TRAINING_PYTHON=/path/to/python   use that interpreter as it is, install nothing
set -eu
cd "$(dirname "$0")"

if [ -n "${REID_TRAINING_PYTHON:-}" ]; then
    python=$REID_TRAINING_PYTHON
    "$python" -c 'import cv2, matplotlib, onnx, onnxruntime, pytest, sklearn, timm, torch' || {
        echo "REID_TRAINING_PYTHON=$python lacks a package of pyproject.toml" >&2
        exit 1
    }
else
    python=.venv/bin/python
    wanted=$(cat constraints.txt pyproject.toml | cksum)
    if [ "$(cat .venv/installed 2>/dev/null || true)" != "$wanted" ]; then
        echo "Installing into $(pwd)/.venv, the versions of constraints.txt:"
        echo "  torch, timm (networks; with PyTorch come about 6 GB of CUDA libraries on Linux), opencv (pictures),"
        echo "  onnx, onnxruntime (export and its check), scikit-learn, matplotlib (tables, plots), pytest"
        # 6.3 GB installed, and the packed wheels beside them while pip works.
        free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
        if [ "$free" -lt 10 ]; then
            echo "PyTorch needs 10 GB of free disk here while it installs, and $free GB are free: make room, or set" >&2
            echo "REID_TRAINING_PYTHON to a Python that has the packages of pyproject.toml" >&2
            exit 1
        fi
        python3 -m venv .venv
        "$python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
        echo "$wanted" > .venv/installed
    fi
fi

OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" exec "$python" -m pytest -q "$@"
