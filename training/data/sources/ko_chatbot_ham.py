"""Written everyday Korean utterances (songys/Chatbot_data), as honest personal chat."""

from __future__ import annotations

import csv
from pathlib import Path

from forewarn.training.data.rows import Loaded, Rejected, Row

NAME = "ko_chatbot_ham"


def load(files: dict[str, Path]) -> Loaded:
    """Read column Q of the CSV (Q, A, label); every row is `personal`.

    Column A holds a chatbot's answers and the label tells moods apart, so neither is used.

    Args:
        files: the paths in source.json and where each file lies.

    Returns:
        Rows, and the records that gave none.
    """
    loaded = Loaded()
    for path, file in files.items():
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle)
            next(reader, None)
            end = reader.line_num
            for record in reader:
                line, end = f"{path}:{end + 1}", reader.line_num
                if not record:
                    continue
                if len(record) != 3:
                    loaded.rejected.append(Rejected(NAME, line, "not three columns"))
                elif not record[0].strip():
                    loaded.rejected.append(Rejected(NAME, line, "empty message"))
                else:
                    loaded.rows.append(Row(record[0].strip(), "personal", "ko", "chat", "written", NAME, line=line))
    return loaded
