#!/usr/bin/env bash
# Builds web/pkg: the program, its JavaScript and its TypeScript types. Needs the target wasm32-unknown-unknown of rustup or
# Debian's rustc-web, cargo-web, rust-web-src, lld-19.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=wasm32-unknown-unknown
folder=${CARGO_TARGET_DIR:-$PWD/target}
tool=$folder/bindgen/release/bindgen
most=$((400 * 1024))
fail() { echo "browser: $*" >&2; exit 1; }

# a program of this machine, built before the flags of the other are set
CARGO_TARGET_DIR=$folder/bindgen cargo build -q --release --manifest-path bindgen/Cargo.toml

# without optimisation across crates products take ten times as long, whatever the environment says
export CARGO_PROFILE_RELEASE_LTO=true CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
# without vector instructions products take four times as long
export RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-feature=+simd128"
folder=$(bash ../support/cross_build.sh "$target" "$folder") || fail "the program cannot be built"

rm -rf web/pkg
"$tool" "$folder/$target/release/limpid_browser.wasm" web/pkg
size=$(gzip -9 -c web/pkg/limpid_browser_bg.wasm | wc -c)
echo "browser: $(wc -c <web/pkg/limpid_browser_bg.wasm) bytes, $size after gzip"
[ "$size" -le "$most" ] || fail "more than $most bytes after gzip"
