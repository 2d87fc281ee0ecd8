#!/usr/bin/env bash
# Reads lists and watches with curl, and says what it saw.
#
# client.sh URL [CA]
set -euo pipefail

base=$1
list=/api/v1/namespaces/demo/services
head=$(mktemp)
trap 'rm -f "$head"' EXIT
curl=(curl --http1.1 --silent --show-error --noproxy '*' --no-buffer --dump-header "$head" --user-agent strict)
[[ -z ${2-} ]] || curl+=(--cacert "$2")

# Counts lines with a text, and the time between the first and the last line.
count() {
    local n=0 first="" last="" line
    while IFS= read -r line; do
        last=${EPOCHREALTIME/./}
        first=${first:-$last}
        [[ $line != *"$1"* ]] || n=$((n + 1))
    done
    if ((1000000 < last - first)); then echo "$n live"; else echo "$n at once"; fi
}

for encoding in identity gzip; do
    decoded=()
    [[ $encoding == identity ]] || decoded=(--compressed)
    n=$("${curl[@]}" "${decoded[@]}" "$base$list" | tr '{' '\n' | grep -c '"name":"s[0-9]*","namespace"')
    if [[ $encoding == gzip ]] && ! grep -qi '^content-encoding: gzip' "$head"; then
        echo "the list is not compressed" >&2
        exit 1
    fi
    echo "list $encoding $n"
    watch="$base$list?watch=1&timeoutSeconds=3&resourceVersion=0"
    echo "watch $encoding $("${curl[@]}" "${decoded[@]}" "$watch" | count '"type":"ADDED"')"
    echo "missing $encoding $("${curl[@]}" --output /dev/null --write-out '%{http_code}' "$base$list/missing")"
done
