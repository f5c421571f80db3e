# Sourced by the other scripts: makes sure that $venv holds what uv.lock names, quickly when it
# already does. POSIX shell.
#
#   SEEDBED_PYTHON  the interpreter to use (default: the first of python3, python3.13, ... that is
#                   3.11 or newer)
#   SEEDBED_EXTRA   cpu, cuda12, cuda13 or tpu; auto (the default) is CUDA where nvidia-smi answers,
#                   else cpu
#   SEEDBED_ALSO    what to install as well, some of "jupyter optuna tensorboard wandb"
#   SEEDBED_VENV    the folder of the virtual environment (default: .venv beside this folder)
#
# Choices are remembered: the next call needs no variable. Packages that the user installed into the
# environment are kept. Removing the folder starts afresh.
#
# Two files beside the environment are locked, each through a descriptor that stays open:
#
#   8  $venv.set-up   by one script at a time, while it looks whether there is anything to set up
#   9  $venv.in-use   shared by all programs that run in the environment, until they have ended; a
#                     script that changes the environment has it alone

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

# find_python [FIRST]   the first interpreter that will do.
find_python() {
    for one in ${SEEDBED_PYTHON:-${1:-} python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$one"
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

# find_gpu   the extra for the GPU that nvidia-smi lists, or cpu.
find_gpu() {
    if facts=$(nvidia-smi 2>/dev/null); then
        case $facts in
            *"CUDA Version: 1"[012].*) echo cuda12 ;;
            *) echo cuda13 ;;
        esac
    else
        echo cpu
    fi
}

# find_extra STAMPED   the extra to install, with "auto-" before it if the user did not choose it.
# The installed one is kept, except for a CPU build that the user did not choose, on a machine that
# has a GPU.
find_extra() {
    case ${SEEDBED_EXTRA:-}:$1 in
        :auto-cpu | :) echo "auto-$(find_gpu)" ;;
        :*) echo "$1" ;;
        auto:*) echo "auto-$(find_gpu)" ;;
        *) echo "$SEEDBED_EXTRA" ;;
    esac
}

# read_stamp   reads what is set up: level, locked (a checksum of two words), extra, python, also.
read_stamp() {
    level='' locked='' extra='' python='' also=''
    [ -f "$venv/seedbed-stamp" ] || return 0
    read -r level sum size extra python also <"$venv/seedbed-stamp" || return 0
    locked="$sum $size"
    case $extra in
        cpu | cuda12 | cuda13 | tpu | auto-cpu | auto-cuda12 | auto-cuda13) ;;
        *) extra='' ;;
    esac
}

# Has glibc use pages of 2 MB, which makes training on large arrays up to 5% faster.
use_memory_in_large_pages() {
    export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}"
}

# Keeps bytecode beside $venv if the user has Python write none beside sources: otherwise every
# process compiles some 3,000 files of packages, which takes 10 seconds.
keep_bytecode() {
    [ -n "${PYTHONDONTWRITEBYTECODE:-}" ] || return 0
    unset PYTHONDONTWRITEBYTECODE
    export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$venv-bytecode}"
}

# lock DESCRIPTOR=HOW...   locks each descriptor; HOW is EX (alone) or SH (shared), and NB after it if
# another holder is not waited for. The status is 3 if there is one. Where a file system has no locks,
# nothing is locked. Python does it: `flock` is not on every machine.
lock() {
    code='
import fcntl, sys
for word in sys.argv[1:]:
    descriptor, how = word.split("=")
    flags = getattr(fcntl, "LOCK_" + how[:2]) | (fcntl.LOCK_NB if how[2:] else 0)
    try:
        fcntl.flock(int(descriptor), flags)
    except BlockingIOError:
        sys.exit(3)
    except OSError:
        pass
'
    locked_by=0
    "$venv/bin/python" -I -S -c "$code" "$@" >/dev/null 2>&1 || locked_by=$?
    case $locked_by in
        0 | 3) return "$locked_by" ;;
    esac
    one=$(find_python) || exit # the environment is not there, or half made
    "$one" -I -S -c "$code" "$@" >/dev/null 2>&1
}

# open_locks   opens descriptors 8 and 9. The status is 1 where the files cannot be made, as beside
# an environment of another user.
open_locks() {
    mkdir -p "$(dirname "$venv")" 2>/dev/null || return 1
    for one in set-up in-use; do
        { [ -f "$venv.$one" ] && [ -w "$venv.$one" ]; } || (: >"$venv.$one") 2>/dev/null || return 1
    done
    exec 8<>"$venv.set-up" 9<>"$venv.in-use"
}

# hold_environment   waits while another script sets up, and keeps others from changing the
# environment from now until this process, or the one it turns into, has ended.
hold_environment() {
    locks=yes
    open_locks || {
        locks=''
        return 0
    }
    status=0
    lock 8=EXNB || status=$?
    if [ "$status" = 3 ]; then
        echo "waiting for another script that is setting up $venv" >&2
        lock 8=EX || true
    fi
    lock 9=SH || true
}

# set_up LEVEL: "run" for what experiments need, "dev" for lint, types and tests too.
set_up() {
    venv=${SEEDBED_VENV:-$root/.venv}
    keep_bytecode
    case ${SEEDBED_EXTRA:-auto} in
        auto | cpu | cuda12 | cuda13 | tpu) ;;
        *) fail "SEEDBED_EXTRA=$SEEDBED_EXTRA: there are auto, cpu, cuda12, cuda13 and tpu" ;;
    esac
    for one in ${SEEDBED_ALSO:-}; do
        case $one in
            jupyter | optuna | tensorboard | wandb) ;;
            *) fail "SEEDBED_ALSO=$SEEDBED_ALSO: there are jupyter, optuna, tensorboard and wandb" ;;
        esac
    done
    hold_environment
    read_stamp
    stamped="$level $locked $extra $python${also:+ $also}"
    installed=${extra#auto-}
    [ "$level" = dev ] || level=$1
    locked=$(cat "$root/uv.lock" "$root/pyproject.toml" | cksum)
    extra=$(find_extra "$extra")
    python=${SEEDBED_PYTHON:-${python:-auto}}
    for one in ${SEEDBED_ALSO:-}; do
        case " $also " in
            *" $one "*) ;;
            *) also="${also:+$also }$one" ;;
        esac
    done
    wanted="$level $locked $extra $python${also:+ $also}"
    if [ "$wanted" != "$stamped" ]; then
        change_environment
    fi
    [ -z "$locks" ] || exec 8<&-
}

# change_environment   installs what set_up has found, unless a program runs in the environment.
change_environment() {
    status=0
    [ -z "$locks" ] || lock 9=EXNB || status=$?
    [ "$status" != 3 ] ||
        fail "a program is running in $venv, which would be changed under it: wait until it has ended, or set up another environment with SEEDBED_VENV=FOLDER"
    install
    echo "$wanted" >"$venv/seedbed-stamp"
    [ -z "$locks" ] || lock 9=SH || true
}

# run_as_it_is -m MODULE ARGS...   runs a module in the project's own environment, as scripts/run sets
# it up. Where that is not set up yet and the Python has JAX 0.10 or newer, Flax, Optax and Chex, as
# images for accelerators do, it runs there, and nothing is installed.
run_as_it_is() {
    if [ ! -e "${SEEDBED_VENV:-$root/.venv}/seedbed-stamp" ]; then
        python=$(find_python) || exit
        look='import sys, jax, flax, optax, chex; sys.exit(jax.__version_info__ < (0, 10))'
        if "$python" -c "$look" 2>/dev/null; then
            echo "with the JAX of $python; scripts/run sets up the project's own" >&2
            use_memory_in_large_pages
            PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" "$@"
        fi
    fi
    exec "$root/scripts/run" "$@"
}

# install   installs what set_up has found: $level, $extra, $python and $also.
install() {
    interpreter=$(find_python "${python#auto}") || exit
    # A shim, as pyenv has, names another Python elsewhere, for which uv would rebuild what is there.
    real=$("$interpreter" -c 'import os, sys; print(os.path.realpath(sys.executable))') || real=''
    interpreter=${real:-$interpreter}
    uv=$(find_uv "$interpreter") || exit
    echo "setting up: ${extra#auto-}, from uv.lock (once; about a minute)" >&2
    set -- sync --locked --inexact --quiet --project "$root" --python "$interpreter"
    [ "${extra#auto-}" = cpu ] || set -- "$@" --extra "${extra#auto-}"
    for one in $also; do
        set -- "$@" --extra "$one"
    done
    [ "$level" = dev ] || set -- "$@" --no-dev
    rm -f "$venv/seedbed-stamp"
    if [ "$installed" != "${extra#auto-}" ] && [ "$installed" != cpu ] && [ -e "$venv/bin/python" ]; then
        # JAX would also use plugins of another device or another CUDA.
        "$uv" pip uninstall --quiet --python "$venv/bin/python" jax-cuda12-plugin \
            jax-cuda12-pjrt jax-cuda13-plugin jax-cuda13-pjrt libtpu 2>/dev/null || true
    fi
    env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$venv" "$uv" "$@" ||
        fail "uv could not set up $venv from uv.lock: its lines above say why"
}
