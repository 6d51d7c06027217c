"""Person detector: data, teachers, network, training, evaluation and export.

`python -m reid_training train configs/person-detector.toml` goes through :mod:`reid_training.detection.recipe`;
`python -m reid_training.detection --help` lists its steps and tools.
"""
