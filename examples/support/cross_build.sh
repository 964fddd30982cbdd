#!/usr/bin/env bash
# cross_build.sh TARGET FOLDER: builds the package of the working directory for TARGET, and prints the folder that then holds
# TARGET/release. With the target of rustup, or where it has none to offer with Debian's compiler (rustc-web, cargo-web, rust-web-src,
# lld-19), which builds the standard library itself.
set -euo pipefail
target=$1
folder=$2
said=$(mktemp)
trap 'rm -f "$said"' EXIT

if rustup target list --installed 2>/dev/null | grep -qx "$target" || rustup target add "$target" >"$said" 2>&1; then
  CARGO_TARGET_DIR=$folder cargo build -q --release --target "$target" >&2
  echo "$folder"
  exit
fi

case $target in
  wasm32-*) parts=std,panic_abort linker=/usr/bin/wasm-ld-19 ;;
  *) parts=core,alloc linker=/usr/bin/ld.lld-19 ;;
esac
if ! [ -x /usr/bin/cargo ] || ! [ -x "$linker" ]; then
  cat "$said" >&2
  echo "there is no compiler for $target" >&2
  exit 1
fi
echo "rustup has no $target here: Debian's compiler and build-std instead" >&2
variable=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_LINKER
env PATH="/usr/bin:$PATH" RUSTC_BOOTSTRAP=1 "$variable=$linker" CARGO_TARGET_DIR="$folder/debian" \
  /usr/bin/cargo build -q -Z "build-std=$parts" --release --target "$target" >&2
echo "$folder/debian"
