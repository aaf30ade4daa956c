"""Byte-level BPE: text is split by patterns, its bytes are written as letters, letters merged.

GPT-2's scheme (Radford et al. 2019), by Hugging Face's `tokenizers`.
"""

import warnings
from dataclasses import dataclass
from typing import final

from workbench.errors import WorkbenchError
from workbench.lm.vocabulary import Vocabulary

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DIGIT = r"\p{N}"
MISSING = "\0missing"  # no token of a file: byte 0 is written as another letter


def _tiktoken(digits: str) -> str:
    """The pattern of Llama 3 (digits in threes) and Qwen 2 (one by one)."""
    return (
        r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


@dataclass(frozen=True)
class Splitting:
    """How text is cut before BPE, and what goes with it by convention.

    Attributes
    ----------
    patterns : tuple of str
        Each cuts what the one before it left, into its matches and what is between them.
    whole_pieces : bool
        Does a piece that is a token stay one, whatever the merges say?
    add_bos : bool
        Where the file does not say.
    """

    patterns: tuple[str, ...]
    whole_pieces: bool = False
    add_bos: bool = False


_SMOLLM = Splitting((DIGIT, GPT2))
_GPT2 = Splitting((GPT2,))
_LLAMA3 = Splitting((_tiktoken(r"\p{N}{1,3}"),), whole_pieces=True, add_bos=True)
_DBRX = Splitting((_tiktoken(r"\p{N}{1,3}"),))
_QWEN2 = Splitting((_tiktoken(DIGIT),))
_DEFAULT = Splitting((r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"))

SPLITTINGS = {
    "default": _DEFAULT,
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "modern-bert", "exaone4"), _GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), _SMOLLM),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe"), _DBRX),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "megrez"), _QWEN2),
}
"""By the name in `tokenizer.ggml.pre`, as llama.cpp has them (llm_tokenizer_bpe)."""


def letters() -> list[str]:
    """The letter that stands for each of the 256 bytes, as GPT-2 has it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(byte if byte in printable else next(other)) for byte in range(256)]


@final
class ByteLevel:
    """Byte-level BPE of one vocabulary.

    Attributes
    ----------
    add_bos, spaced : bool
        The scheme's own habits: a beginning where the file does not say, no space before a text.
    """

    spaced = False

    def __init__(self, vocabulary: Vocabulary):
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        splitting = _splitting(vocabulary.pre)
        self.add_bos = splitting.add_bos
        self._vocabulary = vocabulary
        self._bytes = {letter: byte for byte, letter in enumerate(letters())}
        # a byte without a token must keep its neighbours apart until all is merged
        self._missing = len(vocabulary.tokens)
        self._tokenizer = Tokenizer(
            models.BPE(
                {**vocabulary.ids, MISSING: self._missing},
                vocabulary.merges,
                unk_token=MISSING,
                ignore_merges=splitting.whole_pieces,
            )
        )
        cuts = [pre_tokenizers.Split(Regex(cut), "isolated") for cut in splitting.patterns]
        as_letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, as_letters])

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens; a byte without a token is left out."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [token for token in ids if token != self._missing]

    def piece(self, token: int) -> bytes:
        """The bytes that a normal token stands for."""
        text = self._vocabulary.tokens[token]
        if not self._bytes.keys() >= set(text):
            return text.encode()  # an added token, stored as it reads
        return bytes(self._bytes[letter] for letter in text)


def _splitting(pre: str) -> Splitting:
    if not pre:
        warnings.warn(
            "the model does not say how its tokenizer splits text (tokenizer.ggml.pre), so it is "
            "split as llama.cpp does by default; its quality may suffer",
            stacklevel=5,
        )
        return SPLITTINGS["default"]
    if pre not in SPLITTINGS:
        raise WorkbenchError(
            f"tokenizer.ggml.pre is {pre!r}, but the workbench has {', '.join(sorted(SPLITTINGS))}"
        )
    return SPLITTINGS[pre]
