#!/bin/sh
# Takes a picture of a study's report with headless Chromium, for the README:
#   scripts/report-picture.sh runs/study/report.html docs/report.png
# WIDTH and HEIGHT are those of the page's part that is shown.
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
    --window-size="${WIDTH:-1000},${HEIGHT:-1300}" --screenshot="$picture" \
    "file://$(realpath "$report")" 2>"$profile/log" || { cat "$profile/log" >&2; exit 1; }
echo "wrote $picture"
