#!/usr/bin/env bash
# Builds the library and `example.c`, linked statically and dynamically, the former with an address sanitizer, and compares what
# they print with what Rust prints.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

folder=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=c11 -Wall -Wextra -Werror -g -I. example.c)

cargo build -q --release --lib --example twin
"$folder/release/examples/twin" "$work/sae" >"$work/expected"
cc "${flags[@]}" -fsanitize=address,undefined "$folder/release/liblimpid_c.a" -lm -lpthread -ldl -o "$work/static"
cc "${flags[@]}" -L"$folder/release" -llimpid_c -Wl,-rpath,"$folder/release" -o "$work/dynamic"
for program in static dynamic; do
  "$work/$program" "$work/sae" >"$work/$program.out"
  diff "$work/expected" "$work/$program.out"
done
echo "c_abi: $(wc -l <"$work/expected") rows are those of Rust, to the bit"
