"""Tests of report.py: what a run of ctest comes to."""
import contextlib
import io
import pathlib
import tempfile
import unittest

import report

PASSED = '<testcase name="A.Passes" status="run"><system-out>fine</system-out></testcase>'
FAILED = '<testcase name="A.Fails" status="fail"><failure message=""/></testcase>'
MISSING = ('<testcase name="b_NOT_BUILT" status="notrun"><skipped message="Unable to find executable"/>'
           "<system-out>Unable to find executable: b_NOT_BUILT</system-out></testcase>")
GTEST_SKIP = ('<testcase name="A.{}" status="notrun"><skipped message="x"/><system-out>[ RUN      ] A\n'
              "../a_test.cc:12: Skipped\nmpirun\n was not found\n\n[  SKIPPED ] A (0 ms)\n"
              "</system-out></testcase>")
SCRIPT_SKIP = ('<testcase name="image" status="notrun"><skipped message="x"/>'
               "<system-out>skipped: no buildah\n</system-out></testcase>")


class ReportTest(unittest.TestCase):
    def run_report(self, *cases):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tests.xml"
            path.write_text("<testsuite>" + "".join(cases) + "</testsuite>")
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                status = report.main([str(path)])
        return status, output.getvalue().splitlines()

    def test_closes_with_the_counts(self):
        status, lines = self.run_report(PASSED, PASSED)
        self.assertEqual((status, lines), (0, ["2 passed, 0 failed, 0 skipped"]))

    def test_fails_with_the_name_of_what_failed(self):
        status, lines = self.run_report(PASSED, FAILED)
        self.assertEqual(status, 1)
        self.assertTrue(lines[0].startswith("FAILED   A.Fails "))
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")

    def test_a_program_that_was_not_built_is_a_failure(self):
        self.assertEqual(self.run_report(PASSED, MISSING)[0], 1)

    def test_says_why_tests_were_skipped(self):
        skips = [GTEST_SKIP.format(i) for i in range(4)]
        status, lines = self.run_report(PASSED, *skips, SCRIPT_SKIP)
        self.assertEqual(status, 0)
        self.assertEqual(lines, ["skipped  4 x mpirun was not found (A.0, A.1, A.2, ...)",
                                 "skipped  1 x no buildah (image)",
                                 "1 passed, 0 failed, 5 skipped"])

    def test_no_test_is_a_failure(self):
        self.assertEqual(self.run_report()[0], 1)


if __name__ == "__main__":
    unittest.main()
