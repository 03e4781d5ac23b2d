#!/bin/sh
# Runs before the package is removed or upgraded. Only a removal disables and stops the package's own services; the
# state of each person, with clusters and machines, stays.
set -e
case $1 in
upgrade | failed-upgrade | deconfigure | [1-9]*) exit 0 ;; # dpkg says what it does, rpm how many versions remain
esac
for link in /etc/systemd/system/multi-user.target.wants/skyd@*.service \
    /etc/systemd/system/multi-user.target.wants/skyd-worker@*.service; do
    [ -L "$link" ] || continue
    if [ -d /run/systemd/system ]; then
        systemctl disable --now "${link##*/}" || true
    else
        rm -f "$link"
    fi
done
