#!/usr/bin/env python3
"""speed.py judges as its table says, and a command that fails fails the run. Its benchmarks are stood
in for by a script that prints fixed numbers.

usage: speed_test.py SPEED.PY
"""
import importlib.util
import os
import stat
import subprocess
import sys
import tempfile
import unittest

SPEED = os.path.abspath(sys.argv.pop(1))


def load():
    spec = importlib.util.spec_from_file_location("speed", SPEED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Judge(unittest.TestCase):
    speed = load()

    def row(self, **bounds):
        return self.speed.Row("row", ["ours"], {"eager": ["peer.py"]}, **bounds)

    def test_a_ratio_that_is_too_small_is_missed(self):
        row = self.row(musts={"eager": 1.5})
        self.assertEqual(row.judge(150, {"eager": 100}, False), [">= 1.50 x eager"])
        self.assertEqual(row.judge(149, {"eager": 100}, False), ["MISSED >= 1.50 x eager"])

    def test_of_memory_and_time_less_is_better(self):
        row = self.row(at_most={"eager": 1 / 3})
        self.assertEqual(row.judge(33, {"eager": 100}, False), ["<= 0.33 x eager"])
        self.assertEqual(row.judge(34, {"eager": 100}, False), ["MISSED <= 0.33 x eager"])

    def test_rates_are_judged_on_an_h200_only(self):
        row = self.row(least=470_000)
        self.assertEqual(row.judge(1, {}, True), ["MISSED >= 470,000"])
        self.assertEqual(row.judge(1, {}, False), [">= 470,000 (not judged: not an H200)"])

    def test_a_share_is_judged_everywhere(self):
        row = self.row(most=0.5)
        self.assertEqual(row.judge(0.4, {}, False), ["<= 0.5"])
        self.assertEqual(row.judge(0.6, {}, False), ["MISSED <= 0.5"])


class Run(unittest.TestCase):
    def run_with(self, program, *flags):
        """speed.py's row of DDP with `program` as the benchmark: its status and what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "training_step_benchmark")
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n{program}\n")
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
            done = subprocess.run([sys.executable, "-B", SPEED, "--bin", folder, "--only", "DDP"] + list(flags),
                                  capture_output=True, text=True, check=False)
            return done.returncode, done.stdout

    def test_a_row_that_is_missed_fails_the_run(self):
        for percent, status in (("0.2", 0), ("0.9", 1)):
            got, text = self.run_with(
                f"""echo '{{"hardware": "cuda:0 X", "ddp_percent": {percent}}}'""", "--device", "cuda")
            self.assertEqual(got, status, text)
            self.assertIn(f"| {percent} |", text)
        self.assertIn("MISSED <= 0.5", text)

    def test_quick_judges_nothing(self):
        got, text = self.run_with(
            """echo '{"hardware": "cuda:0 X", "ddp_percent": 9}'""", "--device", "cuda", "--quick")
        self.assertEqual(got, 0, text)
        self.assertIn("not judged", text)

    def test_rows_share_what_a_command_printed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "gpt_kernels_benchmark")
            with open(path, "w", encoding="utf-8") as file:
                file.write("""#!/bin/sh
echo once >>"$0.calls"
echo '{"hardware": "cuda:0 X", "residual_rms_norm": 3600, "residual_rms_norm_backward": 3700}'
""")
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
            done = subprocess.run([sys.executable, "-B", SPEED, "--bin", folder, "--device", "cuda",
                                   "--rounds", "1", "--only", "residual_rms_norm"],
                                  capture_output=True, text=True, check=False)
            self.assertIn("| 3,600 |", done.stdout)
            self.assertIn("| 3,700 |", done.stdout)
            with open(path + ".calls", encoding="utf-8") as calls:
                self.assertEqual(len(calls.readlines()), 1)

    def test_a_command_that_fails_is_named(self):
        got, text = self.run_with("echo no memory >&2; exit 71")
        self.assertEqual(got, 1)
        self.assertIn("ended with 71: no memory", text)
        self.assertIn("| failed |", text)


if __name__ == "__main__":
    unittest.main()
