#!/bin/sh
# Answers for the ports of a head on the head itself, once its server is up.
out=; fail=
while [ $# -gt 1 ]; do
  case "$1" in --*) ;; -*f*) fail=1;; esac
  case "$1" in
  -o) out=$2; shift 2;;
  -w|-m|--cacert|--cert|--key) shift 2;;
  *) shift;;
  esac
done
if [ "$(cat /run/systemd/system/rke2-server.ActiveState 2>/dev/null)" != active ]; then
  echo "curl: (7) Failed to connect" >&2
  exit 7
fi
if [ -e /opt/fake/supervisor503 ]; then
  [ -z "$out" ] || { echo "the server is starting" >"$out"; printf 503; }
  [ -z "$fail" ] || exit 22
  exit 0
fi
case "$1" in */cacerts) body=/opt/fake/ca.pem;; *) body=/dev/null;; esac
if [ -n "$out" ]; then cat "$body" >"$out"; printf 200; else cat "$body"; fi
