#!/bin/sh
# Takes a picture of a report's first part with headless Chromium, for the README:
#   scripts/report-picture.sh runs/demo/report.html docs/report.png
# WIDTH and HEIGHT say how much of the page is shown, in pixels; by default it ends before the thoughts.
set -eu
report=${1:?expected the path of a report.html}
picture=${2:?expected the path of a .png}
fail() { echo "report-picture: $*" >&2; exit 1; }

test -f "$report" || fail "$report is missing; \`make demo\` or \`lrem ablate\` writes a report"
for browser in chromium chromium-browser google-chrome ""; do
    command -v "$browser" >/dev/null && break
done
test -n "$browser" || fail "no Chromium is installed (Debian: apt-get install chromium)"

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" \
    --window-size="${WIDTH:-1000},${HEIGHT:-1190}" --screenshot="$picture" \
    "file://$(realpath "$report")" 2>"$profile/log" || { cat "$profile/log" >&2; exit 1; }
test -s "$picture" || fail "no $picture was written"
echo "wrote $picture"
