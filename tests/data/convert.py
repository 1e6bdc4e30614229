"""convert.py TABLE LINES ROWS: a table (.csv or .json) as one record per line; fails unless it has that many rows."""

import csv
import json
import os
import sys


def main(table: str, lines: str, expected: int) -> None:
    with open(table, encoding="utf-8", newline="") as file:
        rows = json.load(file) if table.endswith(".json") else list(csv.DictReader(file, strict=True))
    if len(rows) != expected:
        sys.exit(f"{table} has {len(rows)} rows, expected {expected}")
    # Renamed when complete: what is there is whole.
    with open(lines + ".new", "w", encoding="utf-8", newline="\n") as out:
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                sys.exit(f"{table}: row {number} has not as many fields as the header")
            json.dump(record(row), out, ensure_ascii=False)
            out.write("\n")
    os.replace(lines + ".new", lines)
    print(f"{os.path.abspath(lines)}: {len(rows)} rows")


def record(row: dict) -> dict:
    if "zip_code" not in row:
        return {"value": row}
    # The zip code stays text: 00501. Some places have no coordinates.
    numbers = {name: float(row[name]) if row[name] else None for name in ("latitude", "longitude")}
    return {"key": row["zip_code"], "value": {**row, **numbers}}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
