"""Reads what a run leaves behind, for the tests of the trainer."""
import json
import pathlib


def summary_of(run):
    return json.loads(pathlib.Path(run, "summary.json").read_text())


def lines_of(run):
    """All objects of metrics.jsonl."""
    return [json.loads(line) for line in pathlib.Path(run, "metrics.jsonl").read_text().splitlines()]


def losses_of(run):
    return [line["loss"] for line in lines_of(run) if "loss" in line]
