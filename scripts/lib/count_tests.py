"""Prints how many tests of a JUnit report passed, failed and were skipped.

    python3 count_tests.py REPORT

No report, one that is cut off, and one without a single test that ran count as one failure.
"""
import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    passed = failed = skipped = 0
    try:
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
    except (OSError, ElementTree.ParseError) as error:
        print(f"no usable report: {error}", file=sys.stderr)
        failed += 1
    if passed + failed == 0:
        print(f"no test ran: {path}", file=sys.stderr)
        failed = 1
    return passed, failed, skipped


if __name__ == "__main__":
    print(*count(sys.argv[1]))
