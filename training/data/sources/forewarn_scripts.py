"""The project's own scripts: rows with slots, one group a script."""

from __future__ import annotations

from pathlib import Path

from forewarn.training.data.rows import Loaded, Row
from forewarn.training.scripts.corpus import NAME, read_scripts


def load(files: dict[str, Path]) -> Loaded:
    """Every script as a row; the text keeps its slots, and the group is the script's id."""
    loaded = Loaded()
    for path in files.values():
        for number, script in enumerate(read_scripts([path]), 1):
            loaded.rows.append(
                Row(
                    text=script.text,
                    label=script.label,
                    language=script.language,
                    channel=script.channel,
                    origin="written",
                    source=NAME,
                    group=script.id,
                    line=f"{path.name}:{number}",
                    region=script.region,
                )
            )
    return loaded
