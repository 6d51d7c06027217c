"""Person detector: data, teachers, network, training, evaluation and export.

`python -m reid_training.detection --help` lists the commands; `python -m reid_training train configs/person-detector.toml`
dispatches to :func:`run`.
"""
