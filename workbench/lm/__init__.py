"""A transformer that runs: tokenizer, forward pass, caches, sampling, perplexity."""

import importlib

# public name: module that has it; loaded when first asked for
_HOMES = {
    "Config": "workbench.lm.config",
    "Engine": "workbench.lm.engine",
    "Model": "workbench.lm.model",
    "Sampler": "workbench.lm.sampling",
    "Tokenizer": "workbench.lm.tokenizer",
    "chat_prompt": "workbench.lm.chat",
    "divergence": "workbench.lm.scoring",
    "evaluate": "workbench.lm.evaluation",
    "generate": "workbench.lm.generation",
    "greedy_match": "workbench.lm.scoring",
    "load_memory": "workbench.lm.loading",
    "load_profile": "workbench.lm.loading",
    "make_random_model": "workbench.lm.synthetic",
    "new_cache": "workbench.lm.cache",
    "open_language_model": "workbench.lm.model",
    "open_runner": "workbench.lm.runners",
    "perplexity": "workbench.lm.scoring",
    "race_attention": "workbench.lm.attention_speed",
    "read_text": "workbench.lm.texts",
    "render_chat": "workbench.lm.chat",
    "sensitivity": "workbench.lm.evaluation",
    "stream": "workbench.lm.generation",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench.lm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
