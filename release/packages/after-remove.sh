#!/bin/sh
# Runs after the package is removed or upgraded: systemd forgets its units.
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
