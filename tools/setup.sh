#!/usr/bin/env bash
# Set up everything that `make PROFILE` needs, and nothing twice.
#
#   tools/setup.sh demo    Python environment with the page, cross compiler
#   tools/setup.sh test    the same, and the emulator, the checkers and a browser
#   tools/setup.sh fuzz    that of test, and clang with its fuzzer
#
# Missing system packages are installed with apt-get (through sudo when not root). Where that is not possible one line says what to install:
# the demo goes on without the cross compiler, everything else ends with an error.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${1:?usage: tools/setup.sh demo|test|fuzz}"
fuzz=no
if [ "$profile" = fuzz ]; then
    fuzz=yes profile=test
fi
venv=.venv
log=build/setup.log
mkdir -p build
: >"$log"

say() { printf '\033[1m[set-up]\033[0m %s\n' "$*" >&2; }
fail() { printf '[set-up] error: %s\n' "$*" >&2; exit 1; }
# run WHAT COMMAND...: one line of progress, the output in the log, its end on failure
run() {
    local what="$1" begin=$SECONDS
    shift
    say "$what …"
    if ! "$@" >>"$log" 2>&1; then
        tail -n 25 "$log" >&2
        fail "$what failed; the whole output is in $log"
    fi
    say "$what: done in $((SECONDS - begin)) s"
}

python="${PYTHON:-python3}"
command -v "$python" >/dev/null || fail "no $python: install Python 3.11 or newer (Debian: apt-get install python3)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: Python 3.11 or newer is needed; say which with PYTHON=/path/to/python3"

# ---- what is missing of the system, as Debian packages

packages=()
need() { "${@:2}" >/dev/null 2>&1 || packages+=("$1"); }
newlib() { [ -f "$(arm-none-eabi-gcc -print-file-name=libc_nano.a 2>/dev/null)" ]; }
headers() { "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; }

need python3-venv "$python" -c 'import venv, ensurepip'
need gcc command -v gcc # crcmod's C extension; the host tests of the firmware
need libc6-dev test -f /usr/include/stdio.h
need python3-dev headers
need gcc-arm-none-eabi command -v arm-none-eabi-gcc
need libnewlib-arm-none-eabi newlib
if [ "$profile" = test ]; then
    need qemu-system-arm command -v qemu-system-arm
    need cppcheck command -v cppcheck
    need chromium command -v chromium
    need openssl command -v openssl # certificates of the tests
fi
fuzzer() { clang -fsanitize=fuzzer -x c -o /dev/null - <<<'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; return (int)(n & 0); }'; }
if [ "$fuzz" = yes ] && ! fuzzer >/dev/null 2>&1; then
    packages+=(clang libclang-rt-dev)
fi

if [ ${#packages[@]} -gt 0 ]; then
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    by_hand="apt-get install --no-install-recommends ${packages[*]}"
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; }; then
        if [ "$profile" = demo ] && "$python" -c 'import venv, ensurepip' 2>/dev/null; then
            say "missing and not installable from here: ${packages[*]} (by hand: $by_hand); going on without"
        else
            fail "missing: ${packages[*]}. Install them first: $by_hand"
        fi
    else
        export DEBIAN_FRONTEND=noninteractive
        run "updating the package lists" "${sudo[@]}" apt-get update
        run "installing ${packages[*]}" "${sudo[@]}" apt-get install -y --no-install-recommends "${packages[@]}"
    fi
fi

# ---- Python environment, with the page that the package builds

inputs() {
    "$python" --version
    printf '%s\n' "$profile"
    git ls-files -z --cached --others --exclude-standard -- pyproject.toml bridge/dashboard bridge/hatch_build.py 2>/dev/null |
        xargs -0 -r sh -c 'for f; do [ -f "$f" ] && sha256sum "$f"; done; true' sh
}
stamp="$venv/.setup-$profile"
wanted="$(inputs | sha256sum)"
if [ ! -x "$venv/bin/python" ] || [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    [ -x "$venv/bin/python" ] || run "making the Python environment in $venv" "$python" -m venv "$venv"
    run "installing the Python package and building the page (a minute or two the first time)" \
        "$venv/bin/python" -m pip install --disable-pip-version-check -e '.[dev]'
    if [ "$profile" = test ] && ! "$venv/bin/python" -c 'import sys; sys.path.insert(0, "bridge"); import hatch_build; sys.exit(hatch_build.system_node() is None)'; then
        run "installing Node.js in the Python environment, for the checks of the page" \
            "$venv/bin/python" -m pip install --disable-pip-version-check \
            "$("$venv/bin/python" -c 'import sys; sys.path.insert(0, "bridge"); import hatch_build; print(hatch_build.NODE_REQUIREMENT)')"
    fi
    printf '%s' "$wanted" >"$stamp"
fi
