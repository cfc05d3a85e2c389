#!/usr/bin/env bash
# Installs the oldest versions that setup.cfg allows into a fresh environment and runs the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"${PYTHON:-python3}" -m venv "$environment"

# "name>=1.2" or "name>=1.2,<2" becomes "name==1.2" for what a user needs; the tools of the tests stay current.
sed -n '/^install_requires/,/^\[options.extras/p' setup.cfg |
    sed -n 's/^ *\([A-Za-z0-9_.-]*\)>=\([0-9.]*\)\(,<[0-9.]*\)\{0,1\}$/\1==\2.*/p' > "$environment/oldest.txt"
cat "$environment/oldest.txt"
"$environment/bin/pip" install --quiet --upgrade pip
"$environment/bin/pip" install --quiet -c "$environment/oldest.txt" -e '.[dev]'
"$environment/bin/python" -m pytest -q -n 2 --dist loadfile "$@"
