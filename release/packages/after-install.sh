#!/bin/sh
# Runs after the package is installed or upgraded. It starts no service: a person enables one, as in
# systemctl enable --now skyd@ann, or uses skyctl server install.
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
