# Sourced by the other scripts: makes sure that $venv holds what uv.lock names, quickly when it
# already does. POSIX shell.
#
#   SEEDBED_PYTHON  the interpreter to use (default: the first of python3, python3.13, ... that is
#                   3.11 or newer)
#   SEEDBED_EXTRA   cpu, cuda12, cuda13 or tpu (default: CUDA where nvidia-smi answers, else cpu)
#   SEEDBED_ALSO    what else to install: tensorboard, wandb or both, as "tensorboard wandb"
#   SEEDBED_VENV    where the virtual environment lies (default: .venv beside this folder)

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

find_python() {
    for python in ${SEEDBED_PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "Python 3.11 or newer is needed and ${SEEDBED_PYTHON:-python3} is not: name one with SEEDBED_PYTHON=/path/to/python"
}

find_uv() {
    if command -v uv; then
        return
    fi
    if [ ! -x "$root/.venv-uv/bin/uv" ]; then
        echo "setting up: uv" >&2
        "$1" -m venv --clear "$root/.venv-uv" >/dev/null 2>&1 ||
            fail "$1 cannot make a virtual environment: install its venv module (Debian: python3-venv), or uv"
        "$root/.venv-uv/bin/python" -m pip install -qq --disable-pip-version-check 'uv>=0.9,<1' >&2 ||
            fail "pip could not install uv: is there a network? uv may also be installed by hand"
    fi
    echo "$root/.venv-uv/bin/uv"
}

find_extra() {
    if [ -n "${SEEDBED_EXTRA:-}" ]; then
        echo "$SEEDBED_EXTRA"
    elif facts=$(nvidia-smi 2>/dev/null); then
        case $facts in
            *"CUDA Version: 1"[012].*) echo cuda12 ;;
            *) echo cuda13 ;;
        esac
    else
        echo cpu
    fi
}

# In pages of 2 MB where the C library is glibc: up to 5% faster where arrays are large.
use_memory_in_large_pages() {
    export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}"
}

# set_up LEVEL: "run" for what experiments need, "dev" for lint, types and tests too.
set_up() {
    venv=${SEEDBED_VENV:-$root/.venv}
    case ${SEEDBED_EXTRA:-cpu} in
        cpu | cuda12 | cuda13 | tpu) ;;
        *) fail "SEEDBED_EXTRA=$SEEDBED_EXTRA: there are cpu, cuda12, cuda13 and tpu" ;;
    esac
    for also in ${SEEDBED_ALSO:-}; do
        case $also in
            tensorboard | wandb) ;;
            *) fail "SEEDBED_ALSO=$SEEDBED_ALSO: there are tensorboard and wandb" ;;
        esac
    done
    wanted="$(cat "$root/uv.lock" "$root/pyproject.toml" | cksum) ${SEEDBED_EXTRA:-auto} ${SEEDBED_PYTHON:-auto}${SEEDBED_ALSO:+ $SEEDBED_ALSO}"
    stamp=$(cat "$venv/seedbed-stamp" 2>/dev/null) || stamp=
    case $stamp in
        "dev $wanted" | "$1 $wanted") return ;;
        "dev "*) level=dev ;;
        *) level=$1 ;;
    esac
    python=$(find_python) || exit
    uv=$(find_uv "$python") || exit
    extra=$(find_extra)
    echo "setting up: $extra, from uv.lock (once; about a minute)" >&2
    set -- sync --locked --quiet --project "$root" --python "$python"
    [ "$extra" = cpu ] || set -- "$@" --extra "$extra"
    for also in ${SEEDBED_ALSO:-}; do
        set -- "$@" --extra "$also"
    done
    [ "$level" = dev ] || set -- "$@" --no-dev
    rm -f "$venv/seedbed-stamp"
    env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$venv" "$uv" "$@" ||
        fail "uv could not set up $venv from uv.lock: its lines above say why"
    echo "$level $wanted" >"$venv/seedbed-stamp"
}
