"""Embeddings aligned across languages without a GPU: latent semantic analysis of token ids over parallel text.

Deerwester et al. 1990. A parallel row with all its languages is one document, so that translations share documents and
end up near one another; training rows and single sentences add the rest of the vocabulary.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from forewarn.training import text
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from tokenizers import Tokenizer
from transformers import PreTrainedModel


def documents(folder: Path, rows_per_corpus: int, bytes_per_language: int) -> Iterator[list[str]]:
    """Parallel rows (all languages of a row together), then single sentences, as lists of texts."""
    for row in text.parallel_rows(folder, rows_per_corpus):
        yield list(row.values())
    for language in text.languages(folder):
        yield from ([sentence] for sentence in text.sentences(folder, language, bytes_per_language))


def embed(tokenizer: Tokenizer, docs: Iterable[list[str]], dimensions: int, seed: int) -> np.ndarray:
    """Token vectors, (vocabulary, dimensions) float32, each of length 0.5; tokens never seen are small noise.

    Log counts times inverse document frequency, then a randomised SVD (Halko et al. 2011).
    """
    pointers: list[int] = [0]
    columns: list[int] = []
    values: list[float] = []
    for chunk in text.chunks(docs, 5000):
        # Many documents in one call, so that the tokenizer uses every core.
        flat = [sentence for doc in chunk for sentence in doc]
        encodings = iter(tokenizer.encode_batch(flat, add_special_tokens=False))
        for doc in chunk:
            counts: Counter[int] = Counter()
            for _ in doc:
                counts.update(next(encodings).ids)
            columns.extend(counts)
            values.extend(np.log1p(list(counts.values())).tolist())
            pointers.append(len(columns))
    size = tokenizer.get_vocab_size()
    matrix = csr_matrix(
        (np.asarray(values, dtype=np.float32), np.asarray(columns), np.asarray(pointers)),
        shape=(len(pointers) - 1, size),
    )
    frequency = np.bincount(matrix.indices, minlength=size)
    idf = np.log((matrix.shape[0] + 1) / (frequency + 1)).astype(np.float32)
    matrix = matrix.multiply(idf[None, :]).tocsr()
    svd = TruncatedSVD(dimensions, n_iter=3, random_state=seed)
    svd.fit(matrix)
    # The square root of the singular values keeps the first few directions from drowning the rest.
    vectors = svd.components_.T * np.sqrt(svd.singular_values_)[None, :]
    vectors -= vectors.mean(axis=0)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unseen = frequency == 0
    vectors = 0.5 * vectors / np.maximum(norms, 1e-9)
    vectors[unseen] = np.random.default_rng(seed).normal(0, 0.02, (int(unseen.sum()), dimensions))
    return vectors.astype(np.float32)


def initialise(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    texts: Iterable[str],
    folder: Path,
    rows_per_corpus: int,
    bytes_per_language: int,
    seed: int,
) -> None:
    """Set the model's token embeddings by latent semantic analysis of public text and further texts.

    Raises:
        ForewarnError: there is no public text.
    """
    text.require_text(folder, "set lsa_rows_per_corpus: 0 in the config")
    docs = itertools.chain(([text] for text in texts), documents(folder, rows_per_corpus, bytes_per_language))
    with torch.no_grad():
        embeddings = cast(torch.nn.Embedding, model.get_input_embeddings())  # type: ignore[operator]
        embeddings.weight.copy_(torch.from_numpy(embed(tokenizer, docs, embeddings.embedding_dim, seed)))
