"""Texts that are longer than the model reads at once."""

from __future__ import annotations

import pytest
from forewarn.inference import ScamClassifier
from forewarn.inference.windows import MAX_WINDOWS, window_starts
from hypothesis import given
from hypothesis import strategies as st
from tinybundle import SCAM

HONEST = "See you at dinner tonight, love mum. Running late, be home at seven. "
TRICK = f"{SCAM[0]}. {SCAM[1]}. " * 3  # fills most of a window: the tiny model is a mean over pieces


@given(pieces=st.integers(0, 5000), room=st.integers(2, 254))
def test_windows_reach_from_the_first_piece_to_the_last(pieces: int, room: int) -> None:
    starts = window_starts(pieces, room)
    assert starts[0] == 0 and 1 <= len(starts) <= MAX_WINDOWS
    assert starts[-1] == max(0, pieces - room)
    gaps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
    assert all(gap > 0 for gap in gaps)
    if len(starts) < MAX_WINDOWS:
        assert all(gap <= max(1, room * 3 // 4) for gap in gaps)


def test_windows_lie_evenly() -> None:
    assert [window_starts(pieces, 10) for pieces in (10, 11, 18)] == [[0], [0, 1], [0, 4, 8]]
    assert window_starts(1000, 10) == list(range(0, 991, 66))


@pytest.mark.parametrize("text", [TRICK + HONEST * 20, HONEST * 12 + TRICK + HONEST * 12, HONEST * 30 + TRICK])
def test_a_scam_is_found_wherever_in_a_long_text_it_stands(tiny_classifier: ScamClassifier, text: str) -> None:
    assert len(tiny_classifier.ids(text)) == tiny_classifier.max_length
    (honest,) = tiny_classifier.score([HONEST * 30])
    (verdict,) = tiny_classifier.score([text], explain=True)
    assert honest.risk < 0.1 < verdict.risk and verdict.risk == tiny_classifier.score([text])[0].risk
    # Its evidence lies in the trick, as characters of the text that was given.
    assert verdict.evidence
    for span in verdict.evidence:
        assert text[span["start"] : span["end"]] == span["text"]
        assert text.index(TRICK) <= span["start"] and span["end"] <= text.index(TRICK) + len(TRICK) + 1


def test_long_texts_among_short_ones_keep_their_places(tiny_classifier: ScamClassifier) -> None:
    texts = [HONEST, HONEST * 30 + TRICK, TRICK, "", HONEST * 30]
    together = [verdict.risk for verdict in tiny_classifier.score(texts)]
    assert together == pytest.approx([tiny_classifier.score([text])[0].risk for text in texts], abs=1e-6)
    assert together[1] > 0.1 > together[4]


def test_the_middle_of_a_very_long_text_is_left_out(tiny_classifier: ScamClassifier) -> None:
    start, end = HONEST * 45, HONEST * 15
    assert tiny_classifier.score([f"{start}{TRICK}{end}"]) == tiny_classifier.score([start + end])
