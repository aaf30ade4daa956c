"""A byte-level vocabulary learned from the corpus, and how a GGUF file spells it.

Byte pairs as in GPT-2, whose way of cutting text into words ("gpt-2") every reader of GGUF knows.
One special token, END, stands between documents and ends a generated text.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt16

from workbench.errors import WorkbenchError

if TYPE_CHECKING:  # tokenizers is loaded where a vocabulary is needed
    from tokenizers import Tokenizer

END = "<|endoftext|>"
NORMAL, CONTROL = 1, 3  # token types of GGUF


def learn_vocabulary(documents: Iterable[str], size: int) -> "Tokenizer":
    """`size` tokens: END, the 256 bytes, and the merges that save most.

    Parameters
    ----------
    documents : iterable of str
    size : int
        Fewer come out where the text has fewer pairs to merge.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def open_vocabulary(path: Path) -> "Tokenizer":
    """What `tokenizer.save` wrote.

    Raises
    ------
    WorkbenchError
        The file is something else.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no class of its own
        raise WorkbenchError(f"{path} is no vocabulary: {error}") from None


def encode_documents(tokenizer: "Tokenizer", documents: Iterable[str]) -> UInt16[np.ndarray, " n"]:
    """Ids of all documents in a row, END before the first and after each."""
    end = tokenizer.token_to_id(END)
    ids = [end]
    for encoding in tokenizer.encode_batch(list(documents)):
        ids += encoding.ids
        ids.append(end)
    return np.array(ids, np.uint16)


def gguf_vocabulary(tokenizer: "Tokenizer") -> dict:
    """The metadata entries "tokenizer.ggml.…" that stand for this tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    end = tokenizer.token_to_id(END)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if token == END else NORMAL for token in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": end,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
    }
