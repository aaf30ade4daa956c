"""What is asked of tokens and counts, with one wording for each refusal."""

import numpy as np
from jaxtyping import Int32

from workbench.errors import WorkbenchError
from workbench.lm.config import Config


def is_whole(value: object) -> bool:
    """An integer of Python or NumPy; not a truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def checked_tokens(tokens, config: Config, cache, kind: type) -> Int32[np.ndarray, " tokens"]:
    """Token ids as int32, ready to run after what `cache` has seen.

    Parameters
    ----------
    tokens : integer array or list (tokens,)
    config : Config
    cache : object
        Must be a `kind`, whose `config`, `length` and `context` are read.
    kind : type
        Of the caches that the runner makes.

    Raises
    ------
    TypeError
        They are not whole numbers.
    WorkbenchError
        None at all, more than one axis, an id out of the vocabulary, more than the cache holds, or
        a cache of another runner or model.
    """
    if not isinstance(cache, kind):
        raise WorkbenchError(
            f"the cache is of the kind {type(cache).__name__}, but this runner takes the kind "
            f"{kind.__name__}, which its new_cache() makes"
        )
    array = np.asarray(tokens)
    if array.ndim != 1 or array.size == 0:
        raise WorkbenchError(
            f"tokens have shape {array.shape}, but must be a list of at least one token id"
        )
    if array.dtype.kind not in "iu":
        raise TypeError(f"tokens are {array.dtype}, but must be whole numbers")
    outside = (array < 0) | (array >= config.vocab)
    if outside.any():
        at = int(outside.argmax())
        raise WorkbenchError(
            f"token {at} is {array[at]}, but the vocabulary has the ids 0 to {config.vocab - 1}"
        )
    if cache.config != config:
        raise WorkbenchError("the cache was made for a model with another configuration")
    if cache.length + array.size > cache.context:
        seen = f" after the {cache.length} seen" if cache.length else ""
        raise WorkbenchError(
            f"{array.size} tokens{seen} are more than the context of {cache.context}"
        )
    return array.astype(np.int32)
