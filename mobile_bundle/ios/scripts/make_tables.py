"""Write CharacterTables.swift and the tables of NFKC: what the `tokenizers` library knows of characters.

    python mobile_bundle/ios/scripts/make_tables.py

Every iOS release brings another version of Unicode, and Foundation's NFKC differs from everybody's for a few hundred
characters. With tables of its own the client reads characters alike on all of them, and as Python does. Run it again
when the pinned `tokenizers` version changes; the tests compare every character with the library.
"""

from __future__ import annotations

import runpy
import textwrap
import unicodedata
from itertools import groupby
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "Sources" / "Forewarn"
ANDROID = runpy.run_path(str(HERE.parents[1] / "android" / "scripts" / "make_tables.py"))
CODE_POINTS: list[int] = ANDROID["CODE_POINTS"]
ranges, capitals = ANDROID["ranges"], ANDROID["capitals"]

nfkc = normalizers.NFKC().normalize_str
nfkd = normalizers.NFKD().normalize_str
nfc = normalizers.NFC().normalize_str
HANGUL = range(0xAC00, 0xD7A4)  # computed, not looked up
HIGHEST, LOWEST = "\u0345", "\u0334"  # marks of the last and the first combining class


def character_tables() -> list[str]:
    """Format characters, spaces, numbers and capitals, as the Android client has them."""
    drop_format = normalizers.Replace(Regex(r"\p{Cf}"), "")
    join_spaces = normalizers.Replace(Regex(r"\s+"), " ")
    digits = pre_tokenizers.Digits(individual_digits=True)
    return [
        constant(
            "format",
            "Invisible format characters (Cf).",
            ranges(code for code in CODE_POINTS if drop_format.normalize_str(chr(code)) == ""),
        ),
        constant(
            "spaces",
            "Spaces and line breaks (White_Space).",
            ranges(code for code in CODE_POINTS if join_spaces.normalize_str(chr(code)) == " "),
        ),
        constant(
            "numbers",
            "Digits and other numbers (N).",
            ranges(code for code in CODE_POINTS if len(digits.pre_tokenize_str(f"a{chr(code)}")) == 2),
        ),
        constant(
            "capitals",
            "Runs of capitals, first-last/step+distance to the small letter; without U+0130, which becomes two.",
            capitals(normalizers.Lowercase().normalize_str),
        ),
    ]


def decompositions() -> list[str]:
    """What NFKC takes characters apart into: `code=a.b.c`, `first-last=a` for a run that becomes a, a+1, a+2 ..."""
    runs: list[list[int]] = []  # first, last, and what the first becomes
    found: list[tuple[int, str]] = []
    for code in CODE_POINTS:
        text = nfkd(chr(code))
        if text == chr(code) or code in HANGUL:
            continue
        if len(text) > 1:
            found.append((code, f"{code:x}=" + ".".join(f"{ord(part):x}" for part in text)))
        elif runs and runs[-1][1] == code - 1 and runs[-1][2] + code - runs[-1][0] == ord(text):
            runs[-1][1] = code
        else:
            runs.append([code, code, ord(text)])
    for first, last, target in runs:
        found.append((first, f"{first:x}-{last:x}={target:x}" if last > first else f"{first:x}={target:x}"))
    return [entry for _, entry in sorted(found)]


def combining_classes() -> list[str]:
    """Runs of marks that are put in order, `first-last=class`; only those whose order the library knows."""

    def moves(character: str) -> bool:
        before, after = nfkd(f"a{HIGHEST}{character}"), nfkd(f"a{character}{LOWEST}")
        return before != f"a{HIGHEST}{nfkd(character)}" or after != f"a{nfkd(character)}{LOWEST}"

    # Precomposed marks are taken apart first, so their own class never counts.
    marks = [
        code
        for code in CODE_POINTS
        if unicodedata.combining(chr(code)) and nfkd(chr(code)) == chr(code) and moves(chr(code))
    ]
    runs = groupby(enumerate(marks), lambda x: (x[1] - x[0], unicodedata.combining(chr(x[1]))))
    entries = []
    for (_, combining), group in runs:
        codes = [code for _, code in group]
        entries.append(f"{codes[0]:x}{f'-{codes[-1]:x}' if len(codes) > 1 else ''}={combining:x}")
    return entries


def compositions() -> list[str]:
    """Pairs that NFKC puts together, `a.b=code`."""
    entries = []
    for code in CODE_POINTS:
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and "<" not in parts[0] and nfc("".join(chr(int(part, 16)) for part in parts)) == chr(code):
            entries.append(".".join(f"{int(part, 16):x}" for part in parts) + f"={code:x}")
    return entries


def constant(name: str, about: str, parts: list[str]) -> str:
    """A Swift string constant of parts with white space between, wrapped."""
    lines = textwrap.wrap(" ".join(parts), 112, break_on_hyphens=False)
    body = "\n".join(f"        {line}" for line in lines)
    return f'    /// {about}\n    static let {name} = """\n{body}\n        """\n'


def write(name: str, about: str, tables: list[str]) -> None:
    """Write one file of tables."""
    text = f"/// {about}\n/// Written by scripts/make_tables.py.\nenum {name} {{\n" + "\n".join(tables) + "}\n"
    (SOURCES / f"{name}.swift").write_text(text, encoding="ascii")
    print(f"{name}.swift: {len(text.splitlines())} lines, {len(text)} bytes")


def main() -> None:
    """Write the tables."""
    SOURCES.mkdir(parents=True, exist_ok=True)
    write("CharacterTables", "What the `tokenizers` library knows of kinds of characters.", character_tables())
    parts = decompositions()
    half = len(parts) // 2
    notation = "`code=a.b.c`, or `first-last=a` for a run that becomes a, a+1, a+2 and so on."
    for name, half_of_them in (("LowDecompositions", parts[:half]), ("HighDecompositions", parts[half:])):
        about = "What NFKC takes characters apart into, as the `tokenizers` library does it."
        write(name, about, [constant("all", notation, half_of_them)])
    write(
        "CompositionTables",
        "How NFKC orders marks and puts characters together, as the `tokenizers` library does it.",
        [
            constant("combiningClasses", "Combining classes: `first-last=class`.", combining_classes()),
            constant("pairs", "Pairs that become one: `a.b=code`.", compositions()),
        ],
    )


if __name__ == "__main__":
    main()
