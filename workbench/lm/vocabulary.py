"""The vocabulary that a GGUF file carries, checked entry by entry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from workbench.errors import WorkbenchError

MODELS = ("gpt2", "llama")
NO_VOCABULARY = ("none", "no_vocab")
BYTE = re.compile(r"<0x[0-9A-F]{2}>")

# what ends a generation, by its text; llama.cpp has the same list
# (llama_vocab::impl::load in src/llama-vocab.cpp)
ENDS = frozenset(
    (
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "</s>",
        "<|eom_id|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<|end_of_text|>",
        "<end_of_utterance>",
        "<eos>",
        "<turn|>",
        "<｜end▁of▁sentence｜>",  # noqa: RUF001
    )
)
END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


class Kind(IntEnum):
    """What a token is, by the numbers of `tokenizer.ggml.token_type`."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """The checked entries ``tokenizer.*`` of a model's metadata.

    Attributes
    ----------
    model : "gpt2" or "llama"
        Byte-level BPE, or SentencePiece.
    pre : str
        The file's name of how text is split before BPE; empty where it has none.
    tokens : list of str
        Text of each id, as it is stored.
    ids : dict
        The reverse.
    kinds : int array (tokens,)
        Of `Kind`.
    scores : float32 array (tokens,)
        How early a token is merged (SentencePiece).
    merges : list of (str, str)
        Earliest first (BPE).
    bos, eos, unknown : int or None
    ends : frozenset of int
        Every id that ends a generation.
    add_bos, add_eos, add_space_prefix : bool or None
        The file's word; None where it has none.
    chat_template : str or None
    """

    model: str
    pre: str
    tokens: list[str] = field(repr=False)
    ids: dict[str, int] = field(repr=False)
    kinds: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    merges: list[tuple[str, str]] = field(repr=False)
    bos: int | None
    eos: int | None
    unknown: int | None
    ends: frozenset[int]
    add_bos: bool | None
    add_eos: bool | None
    add_space_prefix: bool | None
    chat_template: str | None = field(repr=False)

    @classmethod
    def of(cls, metadata: Mapping) -> "Vocabulary | None":
        """What GGUF metadata says; None where it says that there is no vocabulary.

        Raises
        ------
        WorkbenchError
            A missing entry, one of another kind or length, a token that occurs twice, a merge of
            tokens that do not exist, or an id that is out of range.
        """
        read = _Reader(metadata)
        model = read.word("model")
        if model in NO_VOCABULARY:
            return None
        if model not in MODELS:
            raise WorkbenchError(
                f"{read.key('model')} is {model!r}, but the workbench has "
                f"{', '.join(MODELS)} (byte-level BPE and SentencePiece)"
            )
        tokens = [text or f"[EMPTY_{token}]" for token, text in enumerate(read.words("tokens"))]
        if not tokens:
            raise WorkbenchError(f"{read.key('tokens')} is empty")
        ids = _reversed(tokens, read.key("tokens"))
        kinds = read.numbers("token_type", len(tokens), int(Kind.NORMAL)).astype(np.int64)
        _check_bytes(tokens, kinds)
        bos, eos, unknown = (
            read.token(f"{name}_token_id", len(tokens), usual if model == "llama" else None)
            for name, usual in (("bos", 1), ("eos", 2), ("unknown", 0))
        )
        ends = {read.token(key, len(tokens), None) for key in END_KEYS} | {eos}
        ends |= {ids.get(text) for text in ENDS}
        return cls(
            model=model,
            pre=read.word("pre", ""),
            tokens=tokens,
            ids=ids,
            kinds=_with_controls(kinds, ids),
            scores=read.numbers("scores", len(tokens), 0).astype(np.float32),
            merges=_pairs(read.words("merges"), ids, read.key("merges")) if model == "gpt2" else [],
            bos=bos,
            eos=eos,
            unknown=unknown,
            ends=frozenset(ends - {None}),
            add_bos=read.flag("add_bos_token"),
            add_eos=read.flag("add_eos_token"),
            add_space_prefix=read.flag("add_space_prefix"),
            chat_template=_template(metadata),
        )


class _Reader:
    """Entries ``tokenizer.ggml.*`` by kind."""

    def __init__(self, metadata: Mapping):
        self.metadata = metadata

    def key(self, name: str) -> str:
        return f"tokenizer.ggml.{name}"

    def word(self, name: str, default: str | None = None) -> str:
        value = self.metadata.get(self.key(name), default)
        if value is None:
            raise self._missing(name)
        if not isinstance(value, str):
            raise WorkbenchError(f"{self.key(name)} is {value!r}, but must be a string")
        return value

    def words(self, name: str) -> list[str]:
        value = self.metadata.get(self.key(name))
        if value is None:
            raise self._missing(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise WorkbenchError(f"{self.key(name)} is not a list of strings")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise WorkbenchError(
                    f"{self.key(name)} has {item!r} at {index}, but must hold strings"
                )
        return list(value)

    def numbers(self, name: str, count: int, default: int) -> np.ndarray:
        """One finite number a token, whatever is left over cut off as llama.cpp does."""
        value = self.metadata.get(self.key(name))
        if value is None:
            return np.full(count, default)
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or array.ndim != 1 or len(array) < count:
            raise WorkbenchError(
                f"{self.key(name)} must be {count} numbers, one for each token, but is "
                f"{array.dtype} {array.shape}"
            )
        if not np.isfinite(array[:count]).all():
            raise WorkbenchError(f"{self.key(name)} holds NaN or infinity; it must be finite")
        return array[:count]

    def token(self, name: str, count: int, default: int | None) -> int | None:
        value = self.metadata.get(self.key(name))
        if value is None:
            return default if default is not None and default < count else None
        if type(value) is not int or not 0 <= value < count:
            raise WorkbenchError(
                f"{self.key(name)} is {value!r}, but the vocabulary has the ids 0 to {count - 1}"
            )
        return value

    def flag(self, name: str) -> bool | None:
        value = self.metadata.get(self.key(name))
        if value is not None and not isinstance(value, bool | np.bool_):
            raise WorkbenchError(f"{self.key(name)} is {value!r}, but must be true or false")
        return None if value is None else bool(value)

    def _missing(self, name: str) -> WorkbenchError:
        return WorkbenchError(f"{self.key(name)} is missing, so there is no tokenizer")


def _reversed(tokens: list[str], key: str) -> dict[str, int]:
    ids = {text: token for token, text in enumerate(tokens)}
    if len(ids) < len(tokens):
        again = next(token for token, text in enumerate(tokens) if ids[text] != token)
        raise WorkbenchError(
            f"{key} has {tokens[again]!r} twice, as ids {again} and {ids[tokens[again]]}"
        )
    return ids


def _check_bytes(tokens: list[str], kinds: np.ndarray) -> None:
    for token in np.flatnonzero(kinds == Kind.BYTE):
        if not BYTE.fullmatch(tokens[token]):
            raise WorkbenchError(
                f"token {token} is said to be a byte, but reads {tokens[token]!r} and not <0x00> "
                "to <0xFF>"
            )


def _with_controls(kinds: np.ndarray, ids: Mapping[str, int]) -> np.ndarray:
    """Converters forget to mark some ends as control tokens; their text tells, as in llama.cpp."""
    kinds = kinds.copy()
    kinds[[ids[text] for text in ENDS if text in ids]] = Kind.CONTROL
    return kinds


def _pairs(merges: list[str], ids: Mapping[str, int], key: str) -> list[tuple[str, str]]:
    pairs = []
    for index, merge in enumerate(merges):
        cut = merge.find(" ", 1)
        pair = merge[:cut], merge[cut + 1 :]
        for text in (*pair, "".join(pair)):
            if cut < 0 or text not in ids:
                raise WorkbenchError(
                    f"{key} has {merge!r} at {index}, but must name two tokens of the vocabulary "
                    "that make a third"
                )
        pairs.append(pair)
    return pairs


def _template(metadata: Mapping) -> str | None:
    value = metadata.get("tokenizer.chat_template")
    if value is not None and not isinstance(value, str):
        raise WorkbenchError(f"tokenizer.chat_template is {value!r}, but must be a string")
    return value
