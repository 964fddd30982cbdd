#!/usr/bin/env bash
# Builds the program for the host and for a Cortex-M4F, runs the second under QEMU, and compares what both print, to the bit.
# Needs qemu-system-arm, and the target thumbv7em-none-eabihf of rustup or Debian's rustc-web, cargo-web, rust-web-src, lld-19.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=thumbv7em-none-eabihf
folder=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "cortex_m: $*" >&2; exit 1; }

command -v qemu-system-arm >/dev/null || fail "qemu-system-arm is not installed (apt-get install qemu-system-arm)"

CARGO_TARGET_DIR=$folder cargo run -q --release >"$work/host"

folder=$(bash ../support/cross_build.sh "$target" "$folder") || fail "the program cannot be built"
program=$folder/$target/release/limpid-cortex-m

code=0
timeout 120 qemu-system-arm -machine mps2-an386 -cpu cortex-m4 -nographic -semihosting-config enable=on,target=native \
  -kernel "$program" >"$work/device" 2>"$work/qemu" </dev/null || code=$?
if [ "$code" != 0 ]; then
  tail -n 20 "$work/device" "$work/qemu" >&2
  fail "the program ended with $code under QEMU"
fi

grep -v '^#' "$work/device" >"$work/lines" || true
[ -s "$work/host" ] || fail "the host printed nothing"
diff "$work/host" "$work/lines" >"$work/difference" || { head -n 20 "$work/difference" >&2; fail "host (<) and device (>) differ"; }
echo "cortex_m: $(wc -l <"$work/host") lines, the same bits on host and device"
grep '^#' "$work/device"

# flash holds code, constants and the first values of variables; RAM holds the variables
declare -A size
while read -r name bytes; do size[$name]=$((16#$bytes)); done < <(
  readelf -SW "$program" | sed -n 's/^ *\[ *[0-9]*\] *//p' | awk '/^\.(vector_table|text|rodata|data|bss|uninit) / { print $1, $5 }')
part() { echo "${size[$1]:-0}"; }
code=$(($(part .vector_table) + $(part .text)))
[ "$code" -gt 0 ] || fail "the sections of the program cannot be read"
echo "# flash: $((code + $(part .rodata) + $(part .data))) bytes (code $code, constants $(part .rodata));" \
  "RAM besides the stack: $(($(part .data) + $(part .bss) + $(part .uninit))) bytes"
