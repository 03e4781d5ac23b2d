#!/bin/sh
# RKE2's commands: the test's process carries them out, and answers with output and exit code. Both ends of the answer's
# pipe are open here, so neither side waits for the other to open it.
answer=$(mktemp -d /opt/fake/command.XXXXXX) || exit
trap 'rm -rf "$answer"' EXIT
trap 'exit 1' TERM HUP INT
for a; do printf '%s\n' "$a"; done >"$answer/arguments"
printf %s "$RKE2_TOKEN" >"$answer/token"
mkfifo "$answer/exit"
exec 3<>"$answer/exit"
echo "${answer##*/}" >/opt/fake/commands
read -r code <&3
cat "$answer/stdout"
cat "$answer/stderr" >&2
exit "$code"
