"""Prints line coverage by folder and the files with the most lines that no test runs; exit status 1 below the bound.

    python3 coverage.py REPORT FOLDER PERCENT       # REPORT: the JSON that `llvm-cov export -summary-only` writes
"""
import json
import sys
from collections import defaultdict


def main():
    report, folder, least = sys.argv[1], sys.argv[2].rstrip("/") + "/", float(sys.argv[3])
    with open(report, encoding="utf-8") as file:
        files = json.load(file)["data"][0]["files"]
    by_module = defaultdict(lambda: [0, 0])
    rows = []
    for entry in files:
        at = entry["filename"].rfind("/" + folder)
        if at < 0:
            continue
        name = entry["filename"][at + 1 + len(folder):]
        lines = entry["summary"]["lines"]
        rows.append((lines["count"] - lines["covered"], lines["count"], name))
        module = by_module[name.split("/")[0]]
        module[0] += lines["covered"]
        module[1] += lines["count"]
    if not rows:
        print(f"the report has no file of {folder}")
        return 1
    print(f"{'lines':>7} {'covered':>8}  {folder}")
    for name, (covered, count) in sorted(by_module.items()):
        print(f"{count:7} {100 * covered / max(count, 1):7.1f}%  {name}")
    covered = sum(module[0] for module in by_module.values())
    count = sum(module[1] for module in by_module.values())
    share = 100 * covered / max(count, 1)
    print(f"{count:7} {share:7.1f}%  all")
    print("\nmost lines that no test runs:")
    for missed, of, name in sorted(rows, reverse=True)[:15]:
        if missed:
            print(f"{missed:7} of {of:5}  {name}")
    verdict = share >= least
    print(f"\n{share:.2f} % of the lines; at least {least:g} % are asked for: {'ok' if verdict else 'NOT reached'}")
    return 0 if verdict else 1


if __name__ == "__main__":
    sys.exit(main())
