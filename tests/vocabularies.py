"""Small vocabularies of both schemes and a tiny model, made the same way every time."""

import json
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from workbench.formats import write_gguf
from workbench.lm import Config
from workbench.lm.byte_level import letters
from workbench.lm.tensors import required_shapes
from workbench.models import Weights

GOLDEN = Path(__file__).parent / "golden"
TEXTS = json.loads((GOLDEN / "texts.json").read_text())

CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
USER_DEFINED = ["[image]"]
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
# what llama.cpp wants to know of a model before it reads its vocabulary
LLAMA = {
    "general.architecture": "llama",
    "llama.context_length": 128,
    "llama.embedding_length": 32,
    "llama.block_count": 1,
    "llama.feed_forward_length": 32,
    "llama.attention.head_count": 1,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def byte_level(texts, pre="gpt-2", merges=300, **entries):
    """GGUF metadata of a byte-level vocabulary whose merges cross every kind of boundary."""
    alphabet = letters()
    words = [[alphabet[byte] for byte in text.encode()] for text in texts]
    pairs = train(words, merges)
    added = [*CONTROL, *USER_DEFINED]  # some of them are merged from letters too
    tokens = [t for t in dict.fromkeys([*alphabet, *map("".join, pairs)]) if t not in added]
    return LLAMA | {
        **named(
            model="gpt2",
            pre=pre,
            tokens=[*tokens, *added],
            token_type=[1] * len(tokens) + [3] * len(CONTROL) + [4] * len(USER_DEFINED),
            merges=[" ".join(pair) for pair in pairs],
            bos_token_id=len(tokens),
            eos_token_id=len(tokens) + 1,
        ),
        **named(**entries),
    }


def sentence_piece(texts, merges=300, score=lambda rank: -float(rank), **entries):
    """GGUF metadata of a SentencePiece vocabulary; `score` of the merge with this rank."""
    words = [list((" " + text).replace(" ", SPACE)) for text in texts]
    common = [c for c, n in Counter(c for word in words for c in word).items() if n > 1]
    known = set(common)
    words = [[c if c in known else None for c in word] for word in words]
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *USER_DEFINED]
    pieces = [p for p in dict.fromkeys(map("".join, train(words, merges))) if p not in first]
    tokens = [*first, *pieces, *common]
    scores = [0.0] * len(first) + [score(rank) for rank in range(len(pieces))]
    return LLAMA | {
        **named(
            model="llama",
            tokens=tokens,
            scores=scores + [score(len(pieces) + rank) for rank in range(len(common))],
            token_type=[2, 3, 3] + [6] * 256 + [4] + [1] * (len(pieces) + len(common)),
        ),
        **named(**entries),
    }


def named(**entries):
    """Entries with the prefix that GGUF gives them."""
    return {f"tokenizer.ggml.{name}": value for name, value in entries.items()}


def train(words, merges):
    """The pairs that a plain BPE training joins, most frequent first; None is never joined."""
    pairs = []
    for _ in range(merges):
        counts = Counter(pair for word in words for pair in pairwise(word) if None not in pair)
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        pairs.append(best)
        words = [joined(word, best) for word in words]
    return pairs


def joined(word, pair):
    """The word with every occurrence of the pair as one."""
    out, at = [], 0
    while at < len(word):
        if tuple(word[at : at + 2]) == pair:
            out.append("".join(pair))
            at += 2
        else:
            out.append(word[at])
            at += 1
    return out


# name: metadata, each of which llama.cpp reads too
PRES = ("default", "gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2")  # the others are aliases
CASES = {pre: (byte_level, {"pre": pre}) for pre in PRES} | {
    "gpt-2-with-ends": (byte_level, {"add_bos_token": True, "add_eos_token": True}),
    "sentence-piece": (sentence_piece, {}),
    "sentence-piece-no-space": (sentence_piece, {"add_space_prefix": False}),
    "sentence-piece-no-bos": (sentence_piece, {"add_bos_token": False, "add_eos_token": True}),
    # as converters write them that do not know the scores
    "sentence-piece-one-score": (sentence_piece, {"score": lambda rank: -1000.0}),
    "sentence-piece-pairs-of-scores": (sentence_piece, {"score": lambda rank: -float(rank // 9)}),
}


@cache
def case(name):
    """GGUF metadata of one of the cases."""
    make, entries = CASES[name]
    return make(TEXTS, **entries)


def write_tiny_model(path, text, layers=2, architecture="llama", **entries):
    """A random model with a byte-level vocabulary made of `text`."""
    metadata = byte_level([text], merges=30) | {
        "llama.context_length": 64,
        "llama.attention.head_count": 2,
        "llama.block_count": layers,
        **entries,
    }
    metadata = {key.replace("llama.", f"{architecture}."): metadata[key] for key in metadata}
    metadata["general.architecture"] = architecture
    rng = np.random.default_rng(0)
    embedding = np.zeros((len(metadata["tokenizer.ggml.tokens"]), 32), np.float32)
    outline = Weights(path.name, path, architecture, metadata, {"token_embd.weight": embedding})
    tensors = {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else rng.normal(0, shape[1] ** -0.5, shape).astype(np.float32)
        for name, shape in required_shapes(Config.of(outline, "silu")).items()
    }
    write_gguf(path, tensors, metadata)
    return path
