"""SentencePiece vocabularies: neighbours that make a token are joined, best score first.

Written out, because `tokenizers` cannot do it exactly: its BPE orders merges by a rank of their
own, and two tokens of one score, or one that overlaps itself ("===" in "====="), are joined from
the left here (llama.cpp's llm_tokenizer_spm).
"""

import heapq
import re
from functools import lru_cache
from typing import final

from workbench.errors import WorkbenchError
from workbench.lm.vocabulary import Vocabulary

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
WORD = re.compile(f"{SPACE}*[^{SPACE}]+|{SPACE}+")


@final
class SentencePiece:
    """Greedy merging of one vocabulary, with bytes for what it lacks.

    Attributes
    ----------
    add_bos, spaced : bool
        The scheme's own habits: a beginning and a space before a text, where the file does not say.
    """

    add_bos = True
    spaced = True

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary
        self._bytes = [vocabulary.ids.get(f"<0x{byte:02X}>") for byte in range(256)]
        if None in self._bytes:
            raise WorkbenchError(
                f"the vocabulary lacks the token '<0x{self._bytes.index(None):02X}>'; a "
                "SentencePiece vocabulary has one for each of the 256 bytes"
            )
        self._scores = vocabulary.scores.tolist()
        # where no token goes on into a next word, words cannot influence each other
        self._by_words = not any(re.search(f"[^{SPACE}]{SPACE}", t) for t in vocabulary.tokens)
        self._word = lru_cache(maxsize=1 << 14)(self._merged)

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens."""
        text = text.replace(" ", SPACE)
        words = WORD.findall(text) if self._by_words else [text]
        return [token for word in words for token in self._word(word)]

    def piece(self, token: int) -> bytes:
        """The bytes that a normal token stands for."""
        return self._vocabulary.tokens[token].replace(SPACE, " ").encode()

    def _merged(self, text: str) -> tuple[int, ...]:
        """Join the best pair, the leftmost of equals, until no pair makes a token."""
        ids, scores = self._vocabulary.ids, self._scores
        parts = list(text)  # a part that was joined to the one before it is empty
        before = list(range(-1, len(parts) - 1))
        after = [*range(1, len(parts)), -1]
        pairs: list[tuple[float, int, int, int]] = []

        def offer(left: int, right: int) -> None:
            if left < 0 or right < 0:
                return
            token = ids.get(parts[left] + parts[right])
            if token is not None:
                length = len(parts[left]) + len(parts[right])
                heapq.heappush(pairs, (-scores[token], left, right, length))

        for right in range(1, len(parts)):
            offer(right - 1, right)
        while pairs:
            _, left, right, length = heapq.heappop(pairs)
            if not parts[left] or not parts[right]:
                continue
            if len(parts[left]) + len(parts[right]) != length:  # one of them has grown since
                continue
            parts[left] += parts[right]
            parts[right] = ""
            after[left] = after[right]
            if after[right] >= 0:
                before[after[right]] = left
            offer(before[left], left)
            offer(left, after[left])
        return tuple(token for part in parts if part for token in self._ids(part))

    def _ids(self, part: str) -> list[int]:
        token = self._vocabulary.ids.get(part)
        return [token] if token is not None else [self._bytes[b] for b in part.encode()]
