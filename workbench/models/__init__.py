"""Models: a catalog, fetching, and any GGUF or safetensors file as named, lazily read tensors."""

from workbench.models.fetching import fetch
from workbench.models.inspection import Inspection, TensorFacts, inspect, ternary_scale
from workbench.models.known import Entry, catalog
from workbench.models.recorded import activations, recording
from workbench.models.weights import Weights, open_model

__all__ = [
    "Entry",
    "Inspection",
    "TensorFacts",
    "Weights",
    "activations",
    "catalog",
    "fetch",
    "inspect",
    "open_model",
    "recording",
    "ternary_scale",
]
