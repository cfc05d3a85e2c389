#!/usr/bin/env bash
# Installs the package into a fresh environment of each Python that setup.cfg names, runs the tests
# that train nothing (or those that the arguments name), and one quick run from data to TFLite.
#
#     scripts/test_pythons.sh                     every Python
#     PYTHONS=3.13 scripts/test_pythons.sh tests  one Python, the whole suite
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3

# Prints the interpreter of a version; pyenv's shims stand for none until a version is chosen.
interpreter() {
    local version=$1 installed
    if "python$version" -c "" 2>/dev/null; then
        command -v "python$version"
    elif installed=$(pyenv versions --bare 2>/dev/null | grep "^$version\." | tail -n 1); then
        PYENV_VERSION=$installed pyenv which "python$version"
    else
        echo "Python $version is not installed. Install it, or leave it out of PYTHONS." >&2
        return 2
    fi
}

for version in ${PYTHONS:-3.11 3.12 3.13}; do
    printf '\n== Python %s\n' "$version"
    python=$(interpreter "$version")
    "$python" -m venv "$work/$version"
    "$work/$version/bin/python" -m pip install --quiet --upgrade pip
    "$work/$version/bin/python" -m pip install --quiet -e '.[dev]'
    if [ $# -eq 0 ]; then
        "$work/$version/bin/python" -m pytest -q -n 2 --dist loadfile -m "not train"
    else
        "$work/$version/bin/python" -m pytest -q -n 2 --dist loadfile "$@"
    fi
    "$work/$version/bin/ganaccel" run --preset quick --out "$work/run-$version"
    "$work/$version/bin/ganaccel" verify "$work/run-$version"
    rm -rf "${work:?}/$version"
done
