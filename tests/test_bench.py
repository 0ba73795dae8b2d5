"""`forewarn bench` on the shipped bundle: every figure is there and is a measurement."""

import json

import pytest
from forewarn.inference.cli import main
from forewarn.inference.cli_bench import measure


@pytest.fixture(scope="module")
def figures():
    return measure(None, 64, 1)


def test_every_figure_is_measured(figures):
    assert figures["load_ms"] > 0 and figures["message_ms"]["p95"] >= figures["message_ms"]["median"] > 0
    assert figures["messages_per_second"] > 0 and figures["bundle_bytes"] > 1_000_000
    ratio = figures["messages_per_second"] / figures["naive_messages_per_second"]
    assert figures["ratio_to_naive"] == pytest.approx(ratio)
    assert figures["peak_memory_mib"] > 0


def test_the_table_and_the_json_say_the_same(monkeypatch, capsys, figures):
    monkeypatch.setattr("forewarn.inference.cli_bench.measure", lambda *_: figures)
    assert main(["bench", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == figures
    assert main(["bench"]) == 0
    table = capsys.readouterr().out
    assert f"{figures['bundle_bytes'] / 1e6:.1f}" in table and "one message alone, median" in table


def test_wrong_use_is_one_line(capsys):
    assert main(["bench", "--messages", "3"]) == 2
    assert "64" in capsys.readouterr().err
