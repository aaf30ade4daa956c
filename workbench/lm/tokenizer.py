"""Text to token ids and back, by the vocabulary that the model's own file carries.

>>> from workbench.lm.tokenizer import Tokenizer
>>> letters = [chr(code) for code in range(33, 127)]
>>> entries = {"model": "gpt2", "pre": "gpt-2", "tokens": [*letters, "hi"], "merges": ["h i"]}
>>> tokenizer = Tokenizer.of({f"tokenizer.ggml.{key}": value for key, value in entries.items()})
>>> tokenizer.encode("hi!")
[94, 0]
>>> tokenizer.decode([94, 0])
'hi!'
"""

import codecs
import operator
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import final

from workbench.errors import WorkbenchError
from workbench.lm.byte_level import ByteLevel
from workbench.lm.sentence_piece import SentencePiece
from workbench.lm.vocabulary import Kind, Vocabulary

SCHEMES = {"gpt2": ByteLevel, "llama": SentencePiece}
HIDDEN = (Kind.UNKNOWN, Kind.CONTROL)
EMPTY = (Kind.UNUSED, Kind.UNDEFINED)


@final
class Tokenizer:
    """Encodes and decodes as llama.cpp does with the same file.

    Attributes
    ----------
    size : int
        Tokens in the vocabulary.
    bos, eos : int or None
        Beginning and end of a text.
    ends : frozenset of int
        Every id that ends a generation: the end of a text, of a turn, of a message.
    add_bos, add_eos : bool
        Does `encode` add them where it is not told?
    chat_template : str or None
        Jinja; see `workbench.lm.chat`.
    """

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary
        self._scheme = SCHEMES[vocabulary.model](vocabulary)
        self.size = len(vocabulary.tokens)
        self.bos = vocabulary.bos
        self.eos = vocabulary.eos
        self.ends = vocabulary.ends
        self.add_bos = _first(vocabulary.add_bos, self._scheme.add_bos)
        self.add_eos = _first(vocabulary.add_eos, False)
        self.chat_template = vocabulary.chat_template
        self._spaced = self._scheme.spaced and _first(vocabulary.add_space_prefix, True)

    @classmethod
    def of(cls, metadata: Mapping) -> "Tokenizer | None":
        """The tokenizer of a model, from its GGUF metadata.

        Returns
        -------
        Tokenizer, or None where the file says that it has no vocabulary
            Such a model takes ids only.

        Raises
        ------
        WorkbenchError
            Entries that are missing or wrong, or a scheme that is not known; lists those that are.
        """
        vocabulary = Vocabulary.of(metadata)
        return None if vocabulary is None else cls(vocabulary)

    def __repr__(self) -> str:
        return f"<Tokenizer {self._vocabulary.model!r}: {self.size} tokens>"

    def encode(self, text: str, special: bool = False, add_bos: bool | None = None) -> list[int]:
        """Ids of a text.

        Parameters
        ----------
        text : str
        special : bool
            Does the text of a control token, such as ``<|im_end|>``, stand for that token? Only for
            text that you wrote yourself: in anyone else's it would let them speak for the system.
        add_bos : bool, optional
            Put the beginning in front; by default as the file says. The end likewise, which only
            the file can ask for.

        Raises
        ------
        TypeError
            `text` is not a string.
        WorkbenchError
            It holds half a surrogate pair, which is no Unicode text, or a beginning is asked for
            that the vocabulary lacks.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}, but must be a string")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise WorkbenchError(
                f"the text is not valid Unicode: character {error.start} is half a surrogate pair"
            ) from None
        ids = self._edge(self.bos, "beginning", _first(add_bos, self.add_bos))
        after_special = True
        for part in self._parts(text, special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self._scheme.encode(f" {part}" if self._spaced and after_special else part)
            after_special = isinstance(part, int)
        return ids + self._edge(self.eos, "end", self.add_eos and add_bos is not False)

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of ids; bytes that are not UTF-8 become U+FFFD.

        Parameters
        ----------
        ids : integers
        special : bool
            Write control tokens out, or leave them away?

        Raises
        ------
        WorkbenchError
            An id that is not in the vocabulary.
        """
        decoded = b"".join(self.piece(token, special) for token in ids)
        if self._spaced and decoded.startswith(b" "):
            decoded = decoded[1:]  # the space that `encode` put there
        return decoded.decode(errors="replace")

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes that one id stands for, which need not be whole characters."""
        try:
            token = operator.index(token)
        except TypeError:
            raise TypeError(f"token id {token!r} is not a whole number") from None
        if not 0 <= token < self.size:
            raise WorkbenchError(
                f"there is no token {token}: the vocabulary has the ids 0 to {self.size - 1}"
            )
        kind = self._vocabulary.kinds[token]
        if kind in EMPTY or (kind in HIDDEN and not special):
            return b""
        if kind in (*HIDDEN, Kind.USER_DEFINED):
            return self._vocabulary.tokens[token].encode()
        if kind == Kind.BYTE:
            return bytes.fromhex(self._vocabulary.tokens[token][3:5])
        return self._scheme.piece(token)

    def stream(self) -> "StreamDecoder":
        """A decoder of ids that come one by one."""
        return StreamDecoder(self)

    def control_text(self, text: str) -> str | None:
        """The first control token whose text `text` holds, or None."""
        return next(
            (t for t, token in self._special if self._is_control(token) and t in text), None
        )

    @cached_property
    def _special(self) -> list[tuple[str, int]]:
        """Tokens that are found in a text before anything else: the longest first."""
        kinds, tokens = self._vocabulary.kinds, self._vocabulary.tokens
        found = [i for i in range(self.size) if kinds[i] in (*HIDDEN, Kind.USER_DEFINED)]
        return [(tokens[i], i) for i in sorted(found, key=lambda i: -len(tokens[i].encode()))]

    def _is_control(self, token: int) -> bool:
        return self._vocabulary.kinds[token] in HIDDEN

    def _parts(self, text: str, special: bool) -> list[str | int]:
        """The text cut at special tokens, which stand as ids; nothing empty."""
        parts: list[str | int] = [text] if text else []
        for word, token in self._special:
            if (self._is_control(token) and not special) or word not in text:
                continue
            cut: list[str | int] = []
            for part in parts:
                if isinstance(part, int):
                    cut.append(part)
                    continue
                first, *rest = part.split(word)
                cut.append(first)
                for piece in rest:
                    cut += [token, piece]
            parts = [part for part in cut if part != ""]
        return parts

    def _edge(self, token: int | None, name: str, wanted: bool) -> list[int]:
        if not wanted:
            return []
        if token is None:
            raise WorkbenchError(f"the vocabulary has no token for the {name} of a text")
        return [token]


@final
class StreamDecoder:
    """Text of ids that come one by one; a character appears when its last byte has come."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """What `token` adds to the text; nothing while a character is incomplete."""
        return self._decoder.decode(self._tokenizer.piece(token))


def _first(said: bool | None, otherwise: bool) -> bool:
    return otherwise if said is None else said
