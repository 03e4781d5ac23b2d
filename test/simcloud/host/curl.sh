#!/bin/sh
# Answers for a head's ports on the head itself, once its server is up, and for those of other machines at once. Like
# the real curl it uses the proxy of its environment unless told otherwise; that proxy does not answer, and what it was
# asked for is in /opt/fake/proxied.
out=; fail=
case " $* " in
*" --noproxy "*) ;;
*)
  if [ -n "$https_proxy" ]; then
    echo "$https_proxy $*" >>/opt/fake/proxied
    echo "curl: (7) Failed to connect to the proxy" >&2
    exit 7
  fi;;
esac
while [ $# -gt 1 ]; do
  case "$1" in --*) ;; -*f*) fail=1;; esac
  case "$1" in
  -o) out=$2; shift 2;;
  -w|-m|--cacert|--cert|--key) shift 2;;
  *) shift;;
  esac
done
case "$1" in
https://127.0.0.1:*) ;;
http://*)
  port=${1##*:}
  case "$(sed -n "s/^${port%%/*} //p" /opt/fake/closed 2>/dev/null)" in
  rejected) printf 0.000000; exit 7;;
  silent) printf 0.000000; exit 28;;
  esac
  printf 0.001000
  exit 0;;
esac
if [ "$(cat /run/systemd/system/rke2-server.ActiveState 2>/dev/null)" != active ]; then
  echo "curl: (7) Failed to connect" >&2
  exit 7
fi
case "$1" in https://127.0.0.1:6443/*)
  if [ -e /opt/fake/api503 ]; then
    [ -z "$out" ] || { echo "[-]etcd failed: reason withheld" >"$out"; printf 503; }
    exit 0
  fi;;
esac
if [ -e /opt/fake/supervisor503 ]; then
  [ -z "$out" ] || { echo "the server is starting" >"$out"; printf 503; }
  [ -z "$fail" ] || exit 22
  exit 0
fi
case "$1" in */cacerts) body=/opt/fake/ca.pem;; *) body=/dev/null;; esac
if [ -n "$out" ]; then cat "$body" >"$out"; printf 200; else cat "$body"; fi
