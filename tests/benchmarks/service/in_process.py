"""Scores messages without a server: reads seconds from standard input, a line each, and answers messages a second."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.service.messages import distinct, invented_texts
from forewarn.inference import ScamClassifier

TEXTS = 2048
_BATCH = 32


def main() -> None:
    """Serve until standard input ends."""
    classifier = ScamClassifier.load(sys.argv[1] if len(sys.argv) > 1 else None, threads=1)
    messages = distinct(invented_texts(TEXTS))
    classifier.score(list(itertools.islice(messages, 4 * _BATCH)))  # warm
    print("ready", flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        scored = 0
        while (passed := time.perf_counter() - begun) < float(line):
            scored += len(classifier.score(list(itertools.islice(messages, _BATCH))))
        print(scored / passed, flush=True)


if __name__ == "__main__":
    main()
