#!/usr/bin/env bash
# Runs go build and says how far it is: how many of the packages that the build cache lacks are compiled, and for how long
# it has run. On a terminal that is one line that changes, elsewhere a line every 15 seconds.
# Usage: compile.sh WHAT GO-BUILD-ARGUMENT...; the packages come last, after "--".
set -euo pipefail

what=$1
shift
flags=() packages=()
while [ $# -gt 0 ]; do
  if [ "$1" = -- ]; then
    shift
    packages=("$@")
    break
  fi
  flags+=("$1")
  shift
done

interval=${SKYCTL_PROGRESS_SECONDS:-15}
if [ -t 2 ]; then interval=1; fi

# fewer_collections trades memory for time: the compiler collects garbage for a fifth of its time. It takes up to three times
# the memory then, which is there from 2 GiB for each core.
fewer_collections() {
  local kib
  kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null || echo 0)
  if [ "${kib:-0}" -ge $(($(nproc) * 2 * 1024 * 1024)) ]; then export GOGC=400; fi
}

# list_missing prints the packages that have to be compiled. It needs the flags that choose files.
list_missing() {
  local f list=()
  for f in "${flags[@]}"; do
    case $f in -tags=* | -trimpath | -buildvcs=*) list+=("$f") ;; esac
  done
  go list -deps ${list[@]+"${list[@]}"} \
    -f '{{if and .Stale (ne .StaleReason "not installed but available in build cache")}}{{.ImportPath}}{{end}}' "${packages[@]}"
}

say() {
  if [ -t 2 ]; then printf '\r\033[K%s' "$1" >&2; else printf '%s\n' "$1" >&2; fi
}

describe() {
  local total
  total=$(wc -l <"$missing")
  if [ "$fetched" -gt 0 ] && [ "$compiled" -eq 0 ]; then
    echo "$what: $fetched modules downloaded, $SECONDS s"
  elif [ "$compiled" -ge "$total" ]; then
    echo "$what: $compiled packages compiled, linking, $SECONDS s"
  else
    echo "$what: $compiled of about $total packages compiled, $SECONDS s"
  fi
}

# show reads what go build -v prints: the packages that it compiles, the modules that it downloads, and errors.
show() {
  local line status said=$SECONDS fetched=0 compiled=0
  while :; do
    line='' status=0
    IFS= read -r -t "$interval" line || status=$?
    if [ $status -gt 0 ] && [ $status -le 128 ] && [ -z "$line" ]; then break; fi # the end; above 128 it is the time
    case $line in
    '') ;;
    'go: downloading '*) fetched=$((fetched + 1)) ;;
    *[!A-Za-z0-9._~/@+-]*)
      if [ -t 2 ]; then printf '\r\033[K' >&2; fi
      printf '%s\n' "$line" >&2
      ;;
    *) compiled=$((compiled + 1)) ;;
    esac
    if [ $((SECONDS - said)) -ge "$interval" ]; then
      said=$SECONDS
      say "$(describe)"
    fi
  done
}

fewer_collections
missing=$(mktemp)
trap 'rm -f "$missing"' EXIT
list_missing >"$missing" 2>/dev/null & # beside the build: what that has compiled meanwhile is not counted
lister=$!
SECONDS=0
status=0
go build -v "${flags[@]}" "${packages[@]}" 2>&1 | show || status=$?
kill $lister 2>/dev/null || true
if [ -t 2 ]; then printf '\r\033[K' >&2; fi
if [ $status -eq 0 ] && [ $SECONDS -ge 15 ]; then printf '%s: built in %s s\n' "$what" "$SECONDS" >&2; fi
exit $status
