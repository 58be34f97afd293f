#!/usr/bin/env bash
# Puts the programs that docs/LAKE.md reads the lake with (DuckDB, pandas, Polars, PyArrow) into a Python environment in
# DEST, so that DEST/bin/python has them. For tests.
# Usage: install-readers.sh DEST
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DEST" >&2; exit 2; }
wanted=(duckdb==1.4.2 pandas==2.3.3 polars==1.35.2 pyarrow==22.0.0)
has_all() { "$1/bin/python" -c 'import duckdb, pandas, polars, pyarrow' 2>/dev/null; }
if has_all "$1"; then exit 0; fi
work=$1.$$; trap 'rm -rf "$work"' EXIT
if python3 -m venv "$work" && "$work/bin/python" -m pip install -q --disable-pip-version-check "${wanted[@]}" >&2; then
  # Scripts in it name the directory they were made in; the interpreter does not.
  rm -rf "$1" && mv "$work" "$1" && has_all "$1" && exit 0
fi
echo "no readers of Parquet could be had: Python 3 with venv is wanted, and a package index that has ${wanted[*]}" >&2
exit 1
