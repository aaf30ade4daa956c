"""Training a small BitNet b1.58 on a CPU. PyTorch, the optional extra `train`, is loaded late."""

from workbench.lm.training.corpus import Corpus, Source, debian_corpus, files_corpus
from workbench.lm.training.course import train
from workbench.lm.training.export import export_trained
from workbench.lm.training.plan import Plan

__all__ = [
    "Corpus",
    "Plan",
    "Source",
    "debian_corpus",
    "export_trained",
    "files_corpus",
    "train",
]
