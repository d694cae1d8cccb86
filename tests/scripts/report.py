#!/usr/bin/env python3
"""Sums up ctest's JUnit files: what failed, what was skipped and why, and the counts.

usage: report.py FILE...      exits 1 if a test failed or none passed
"""
import collections
import re
import sys
import xml.etree.ElementTree as ElementTree

GTEST_REASON = re.compile(r": Skipped\n(.*?)\n(?:\n|\[)", re.DOTALL)
SCRIPT_REASON = re.compile(r"^skipped: (.*)$", re.MULTILINE)


def skip_reason(output):
    found = GTEST_REASON.search(output) or SCRIPT_REASON.search(output)
    return " ".join(found.group(1).split()) if found else "no reason given"


def read(path):
    """Yields (outcome, name, reason) of every test in a file."""
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        # ctest counts a program that is missing or not executable as skipped; here it fails.
        if case.get("status") == "run":
            yield "passed", name, ""
        elif "[  SKIPPED ]" in output or SCRIPT_REASON.search(output):
            yield "skipped", name, skip_reason(output)
        else:
            yield "failed", name, ""


def main(paths):
    counts = collections.Counter()
    skipped = collections.defaultdict(list)
    for path in paths:
        for outcome, name, reason in read(path):
            counts[outcome] += 1
            if outcome == "failed":
                print(f"FAILED   {name} ({path})")
            elif outcome == "skipped":
                skipped[reason].append(name)
    for reason, names in sorted(skipped.items()):
        print(f"skipped  {len(names)} x {reason} ({', '.join(names[:3])}{', ...' if names[3:] else ''})")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
