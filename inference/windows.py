"""How a text that is longer than the model reads at once is read: in windows, of which the riskiest decides."""

from __future__ import annotations

from tokenizers import Tokenizer

# Beyond it windows lie apart: 4000 characters have as many windows only where each of them is a piece or two.
MAX_WINDOWS = 16


def window_starts(pieces: int, room: int) -> list[int]:
    """Where the windows of a text begin: at its first piece, so that the last one ends with it, and evenly between.

    Neighbours share a quarter, so that a trick on the border of one stands whole in another, unless the text has more
    than `MAX_WINDOWS` of them.

    Args:
        pieces: pieces of the text.
        room: pieces that a window holds.
    """
    if pieces <= room:
        return [0]
    step = max(1, room * 3 // 4)
    count = min(MAX_WINDOWS, 1 + -(-(pieces - room) // step))
    return [i * (pieces - room) // (count - 1) for i in range(count)]


def frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before and after those of a text ([CLS] and [SEP])."""
    encoding = tokenizer.encode("a")
    own = [i for i, is_frame in enumerate(encoding.special_tokens_mask) if not is_frame]
    if not own:
        return list(encoding.ids), []
    return list(encoding.ids[: own[0]]), list(encoding.ids[own[-1] + 1 :])
