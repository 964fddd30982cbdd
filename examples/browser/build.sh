#!/usr/bin/env bash
# Builds web/pkg: the two programs, their JavaScript and their TypeScript types. Needs the target wasm32-unknown-unknown of rustup or
# Debian's rustc-web, cargo-web, rust-web-src, lld-19.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=wasm32-unknown-unknown
folder=${CARGO_TARGET_DIR:-$PWD/target}
tool=$folder/bindgen/release/bindgen
support=$PWD/../support
fail() { echo "browser: $*" >&2; exit 1; }

# a program of this machine, built before the flags of the other are set
CARGO_TARGET_DIR=$folder/bindgen cargo build -q --release --manifest-path bindgen/Cargo.toml

# without optimisation across crates products take ten times as long, whatever the environment says
export CARGO_PROFILE_RELEASE_LTO=true CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
# without vector instructions products take four times as long
export RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-feature=+simd128"

# program FOLDER NAME MOST: the package in FOLDER, of at most MOST KB after gzip
program() {
  local built size
  built=$(cd "$1" && bash "$support/cross_build.sh" "$target" "$folder") || fail "the program in $1 cannot be built"
  "$tool" "$built/$target/release/$2.wasm" web/pkg
  size=$(gzip -9 -c "web/pkg/$2_bg.wasm" | wc -c)
  echo "browser: $2 has $(wc -c <"web/pkg/$2_bg.wasm") bytes, $size after gzip"
  [ "$size" -le $(($3 * 1024)) ] || fail "$2 has more than $3 KB after gzip"
}

rm -rf web/pkg
program . limpid_browser 400
program webgpu limpid_webgpu 150
