"""Write CharacterTables.java: what the `tokenizers` library takes for format characters, spaces, numbers and capitals.

    python mobile_bundle/android/scripts/make_tables.py

Every Android release brings another version of Unicode. With tables of its own the client reads characters alike on
all of them, and as Python does. Run it again when the pinned `tokenizers` version changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

TARGET = Path(__file__).resolve().parents[1] / "core/src/main/java/forewarn/client/CharacterTables.java"
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
# The one capital that becomes two characters; CharacterTables.java's users treat it by itself.
TWO_CHARACTERS = {0x130: "i\u0307"}


def ranges(codes: Iterable[int]) -> list[str]:
    """Code points in rising order as hexadecimal `first-last`, or `first` alone."""
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return [f"{first:x}-{last:x}" if last > first else f"{first:x}" for first, last in found]


def capitals(lower: Callable[[str], str]) -> list[str]:
    """Runs of capitals as hexadecimal `first-last/step+distance` (distance may be negative) to their small letters."""
    small = {code: lower(chr(code)) for code in CODE_POINTS}
    pairs = {code: text for code, text in small.items() if text != chr(code)}
    if {code: text for code, text in pairs.items() if len(text) > 1} != TWO_CHARACTERS:
        raise SystemExit("the library lower-cases other characters to two than U+0130; teach Normaliser.java about it")
    runs: list[list[int]] = []
    for code, text in pairs.items():
        if code in TWO_CHARACTERS:
            continue
        distance = ord(text) - code
        if runs and runs[-1][3] == distance:
            run = runs[-1]
            gap = code - run[1]
            if gap == run[2] or (run[0] == run[1] and gap <= 2):
                run[1:3] = [code, gap]
                continue
        runs.append([code, code, 1, distance])
    return [f"{first:x}-{last:x}/{step}{distance:+x}" for first, last, step, distance in runs]


def constant(name: str, about: str, parts: list[str]) -> str:
    """A Java string constant of parts with spaces between, wrapped."""
    lines = textwrap.wrap(" ".join(parts), 100)
    text = "\n".join(
        f'            {"+ " if i else ""}"{line}{" " if i + 1 < len(lines) else ""}"' for i, line in enumerate(lines)
    )
    return f"    /** {about} */\n    static final String {name} =\n{text};\n"


def main() -> None:
    """Write the tables."""
    drop_format = normalizers.Replace(Regex(r"\p{Cf}"), "")
    join_spaces = normalizers.Replace(Regex(r"\s+"), " ")
    digits = pre_tokenizers.Digits(individual_digits=True)
    tables = [
        constant(
            "FORMAT",
            "Invisible format characters (Cf).",
            ranges(code for code in CODE_POINTS if drop_format.normalize_str(chr(code)) == ""),
        ),
        constant(
            "SPACES",
            "Spaces and line breaks (White_Space).",
            ranges(code for code in CODE_POINTS if join_spaces.normalize_str(chr(code)) == " "),
        ),
        constant(
            "NUMBERS",
            "Digits and other numbers (N).",
            ranges(code for code in CODE_POINTS if len(digits.pre_tokenize_str(f"a{chr(code)}")) == 2),
        ),
        constant(
            "CAPITALS",
            "Runs of capitals, first-last/step+distance to the small letter; without U+0130, which becomes two.",
            capitals(normalizers.Lowercase().normalize_str),
        ),
    ]
    head = (
        "package forewarn.client;\n\n"
        "/** What the {@code tokenizers} library knows of characters. Written by scripts/make_tables.py. */\n"
        "final class CharacterTables {\n"
    )
    TARGET.write_text(head + "\n".join(tables) + "\n    private CharacterTables() {}\n}\n", encoding="ascii")
    print(f"{TARGET.name}: written")


if __name__ == "__main__":
    main()
