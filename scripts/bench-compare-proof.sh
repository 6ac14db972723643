#!/bin/sh
# Shows how far `lrem bench compare` can be trusted on this machine, however busy: a build against a copy
# of itself, and against one that calls RMSNorm 5 % more often (benches/slowed.rs), TIMES times each; on one
# thread, as other processes may want the other cores.
set -eu
cd "$(dirname "$0")/.."
TIMES=${TIMES:-20}
CARGO=${CARGO:-cargo}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Builds benches/slowed.rs as the environment says, and copies the executable.
build() {
    "$CARGO" bench --no-run --bench slowed --message-format json |
        sed -n 's/.*"name":"slowed".*"executable":"\([^"]*\)".*/\1/p' |
        { read -r executable; cp "$executable" "$1"; }
}
build "$folder/base"
cp "$folder/base" "$folder/same"
cp target/release/lrem "$folder"
LREM_SLOWED=1 build "$folder/slowed"

# Compares base with $1; counts the comparisons where every line has the verdict that is expected.
compare() {
    expected=$2 right=0 i=0
    echo "$3"
    while [ "$i" -lt "$TIMES" ]; do
        i=$((i + 1))
        LREM_THREADS=1 "$folder/lrem" bench compare "$folder/base" "$folder/$1" --json >"$folder/lines"
        lines=$(sed 's|.*"name":"slowed/\([^"]*\)".*"ratio":\([0-9.]\{1,6\}\).*"rounds":\([0-9]*\).*"verdict":"\([^"]*\)".*|\1 \4 \2 (\3 rounds)|' \
            "$folder/lines" | sort)
        printf '%3d  %s\n' "$i" "$(echo "$lines" | paste -s -d, - | sed 's/,/, /g')"
        verdicts=$(echo "$lines" | cut -d ' ' -f 1,2 | paste -s -d, -)
        if [ "$verdicts" = "$expected" ]; then right=$((right + 1)); fi
    done
    echo "$expected: $right of $TIMES"
}
compare same "linear equal,rms_norm equal,swiglu equal" "A build and a copy of it:"
compare slowed "linear equal,rms_norm slower,swiglu equal" "A build and one that calls rms_norm 5 % more often:"
