"""The messages from another hand: complete, told apart from the corpus, and scored at once."""

from forewarn.inference import ScamClassifier
from forewarn.inference.labels import Taxonomy
from forewarn.training.scripts.corpus import all_scripts
from unseen.run import languages, line, read, scams

TAXONOMY = Taxonomy.load()


def test_every_language_has_twenty_scams_and_twenty_others():
    assert len(languages()) == 41
    for language in languages():
        messages = read(language)
        assert len({x.text for x in messages}) == 40, language
        assert scams(messages, TAXONOMY).sum() == 20, language
        assert {x.label for x in messages} <= set(TAXONOMY.names), language
        assert {x.channel for x in messages} <= {"sms", "chat", "call"}, language


def test_none_of_them_is_trained_on():
    trained = {row.text for row in all_scripts()}
    assert not [x.text for language in languages() for x in read(language) if x.text in trained]


def test_the_table_has_a_row_a_language():
    messages = read("en")
    cells = line("en", messages, ScamClassifier.load().score([x.text for x in messages]), TAXONOMY).split("|")
    assert [cells[1].strip(), cells[2].strip(), cells[3].strip()] == ["en", "20", "20"]
    assert 0.5 < float(cells[4]) <= 1.0
