"""Exact duplicates across sources, and near-duplicate clusters by MinHash LSH.

MinHash: Broder 1997; LSH banding: Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import replace

from datasketch import MinHash, MinHashLSH
from forewarn.inference.labels import Taxonomy
from forewarn.training.data.rows import Rejected, Row

_DIGITS = re.compile(r"\d+")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\b[\w-]+\.(?:[a-z]{2,12})/\S*", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")


def skeleton(text: str) -> str:
    """What stays of a message when its numbers, links, case, accent forms and punctuation go: the script behind it."""
    text = _LINK.sub(" url ", unicodedata.normalize("NFKC", text).lower())
    return _NOT_WORD.sub(" ", _DIGITS.sub("0", text)).strip()


def merge_exact(rows: list[Row], taxonomy: Taxonomy) -> tuple[list[Row], list[Rejected]]:
    """One row for each distinct text; its label is what all its copies allow.

    A copy whose label contradicts the others (no leaf in common) removes all copies: nobody knows which one is right.
    Returns the kept rows in first-seen order, and every removed record with its reason.
    """
    copies: dict[str, list[Row]] = {}
    for row in rows:
        copies.setdefault(unicodedata.normalize("NFKC", row.text).casefold(), []).append(row)
    kept: list[Row] = []
    removed: list[Rejected] = []
    for same in copies.values():
        first = same[0]
        allowed = frozenset.intersection(*(taxonomy.resolve(row.label) for row in same))
        if not allowed:
            removed += [Rejected(row.source, row.line, "copies with contradicting labels") for row in same]
            continue
        # The most specific label among the copies, if one of them says all; else the intersection spelled out.
        best = next((row.label for row in same if taxonomy.resolve(row.label) == allowed), "|".join(sorted(allowed)))
        kept.append(replace(first, label=best))
        removed += [Rejected(row.source, row.line, "exact duplicate") for row in same[1:]]
    return kept, removed


def _signature(text: str, permutations: int) -> MinHash:
    words = skeleton(text)
    compact = words.replace(" ", "")
    size = 4 if compact.isascii() else 3
    shingles = {compact[i : i + size] for i in range(max(1, len(compact) - size + 1))}
    minhash = MinHash(num_perm=permutations, seed=1)
    minhash.update_batch([shingle.encode() for shingle in shingles])
    return minhash


def cluster(rows: list[Row], threshold: float = 0.6, permutations: int = 64) -> list[str]:
    """The group of every row.

    Rows whose skeletons share about `threshold` of their character shingles (Jaccard), and rows that their source puts
    in one group, end up together, transitively.

    Returns one stable group id a row.
    """
    parent = list(range(len(rows)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def union(a: int, b: int) -> None:
        a, b = find(a), find(b)
        parent[max(a, b)] = min(a, b)

    by_key: dict[tuple[str, str], int] = {}
    by_skeleton: dict[str, int] = {}
    lsh = MinHashLSH(threshold=threshold, num_perm=permutations)
    for i, row in enumerate(rows):
        if row.group:
            union(i, by_key.setdefault((row.source, row.group), i))
        bare = skeleton(row.text)
        if bare in by_skeleton:
            union(i, by_skeleton[bare])
            continue
        by_skeleton[bare] = i
        signature = _signature(row.text, permutations)
        for other in lsh.query(signature):
            union(i, other)
        lsh.insert(i, signature)
    digests = [hashlib.sha256(row.text.encode()).hexdigest()[:12] for row in rows]
    return [digests[find(i)] for i in range(len(rows))]
