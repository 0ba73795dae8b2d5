"""What stands around a message and says nothing about it: greetings, closings, footers, quotes, white space.

A classifier that has only seen bare messages lets a scam through for a "good morning" in front of it. So scams and
honest messages alike get such words in training.
"""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files

import yaml
from forewarn.training.scripts.links import made_up_name

_LIKE = {"zh": "zh-Hans", "bs": "hr", "cnr": "sr-Latn", "sh": "hr", "hi-Latn": "en"}
_FOOTERS = (
    "Sent from my iPhone", "Get Outlook for Android", "Sent from Yahoo Mail", "发自我的iPhone", "iPhoneから送信",
    "Sent via WhatsApp",
    "Enviado desde mi iPhone", "Envoyé de mon iPhone", "Von meinem iPhone gesendet", "Отправлено с iPhone", "--", "***",
)  # fmt: skip
_HEADS = ("Fwd:", "FW:", "Re:", "Forwarded", "---------- Forwarded message ---------", "[Forwarded]", "1/1", "➡️", "📩")
_ENDS = ("🙏", "😊", "👍", "!!", "...", "❤️", "🙏🙏", "😅", "✅")


@cache
def _words() -> dict[str, dict[str, list[str]]]:
    text = (files("forewarn.training") / "surroundings.yaml").read_text(encoding="utf-8")
    words: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return words


def surround(text: str, language: str, rng: random.Random, quoted: str | None = None) -> str:
    """The message with one to three such things around it.

    Args:
        text: the message.
        language: its tag; of an unknown one the words are English.
        rng: decides.
        quoted: an honest message that may stand below or above it as what it answers.
    """
    words = _words()
    own = words.get(_LIKE.get(language, language)) or words.get(language.split("-")[0]) or words["en"]
    openings, closings = own["openings"], own["closings"]
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.randrange(9 if quoted else 7)
        if kind < 2:
            name = f" {made_up_name(rng).capitalize()}" if rng.random() < 0.3 else ""
            text = rng.choice(openings) + name + rng.choice((", ", "! ", "\n", "\n\n", " ", ". ")) + text
        elif kind < 4:
            name = rng.choice((", ", "\n", " ")) + made_up_name(rng).capitalize() if rng.random() < 0.4 else ""
            text += rng.choice((" ", "\n", "\n\n", ". ")) + rng.choice(closings) + name
        elif kind == 4:
            text += rng.choice(("\n\n", "\n", " ")) + rng.choice((*_FOOTERS, *_ENDS))
        elif kind == 5:
            text = rng.choice(_HEADS) + rng.choice((" ", "\n")) + text
        elif kind == 6:
            text = rng.choice(("", " ", "\n", '"')) + text + rng.choice((" ", "\n", "  \n", " \n\n", '"'))
        else:
            lines = "\n".join(f"> {line}" for line in str(quoted).splitlines())
            text = f"{text}\n\n{lines}" if rng.random() < 0.6 else f"{lines}\n\n{text}"
    return text
