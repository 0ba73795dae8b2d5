"""Labels resolve to the leaves that they allow."""

import pytest
from forewarn.inference.errors import ForewarnError
from forewarn.inference.labels import Taxonomy
from hypothesis import given
from hypothesis import strategies as st

TAXONOMY = Taxonomy.load()
LABELS = [*TAXONOMY.names, *TAXONOMY.verdicts, *TAXONOMY.coarse]


def test_the_taxonomy_of_the_design():
    assert len(TAXONOMY.names) == 21
    assert len(TAXONOMY.indices("scam")) == 17
    assert TAXONOMY.resolve("ham") == {"personal", "transactional", "public_notice"}
    assert TAXONOMY.resolve("not_scam") == TAXONOMY.resolve("ham") | {"promotion"}
    assert TAXONOMY.verdict_of("unwanted") is None
    assert TAXONOMY.verdict_of("bank_alert|loan") == "scam"


def test_every_scam_leaf_pulls_a_lever_and_no_honest_one_does():
    assert all(bool(leaf.levers) == (leaf.verdict == "scam") for leaf in TAXONOMY.leaves)


def test_survives_the_manifest():
    assert Taxonomy.from_dict(TAXONOMY.to_dict()) == TAXONOMY


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=4))
def test_a_union_allows_what_its_parts_allow(parts):
    assert TAXONOMY.resolve("|".join(parts)) == frozenset().union(*(TAXONOMY.resolve(part) for part in parts))


@given(st.text(max_size=12).filter(lambda s: not set(s.split("|")) <= set(LABELS)))
def test_unknown_labels_are_refused(label):
    with pytest.raises(ForewarnError, match="unknown label"):
        TAXONOMY.resolve(label)
