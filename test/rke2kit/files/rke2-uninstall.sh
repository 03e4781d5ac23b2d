#!/bin/sh
# Removes the kit and all its data from this node.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"

bin=$(dirname "$(readlink -f "$0")")
prefix=$(dirname "$bin")
"$bin/rke2-killall.sh"

for unit in rke2-server rke2-agent; do
    systemctl disable "$unit.service" 2>/dev/null
    systemctl reset-failed "$unit.service" 2>/dev/null
    rm -f "$prefix/lib/systemd/system/$unit.service" "$prefix/lib/systemd/system/$unit.env" "/etc/systemd/system/$unit.service"
done
systemctl daemon-reload

# A directory may be a mount point: what is in it goes, it may stay.
for dir in /etc/rancher/rke2 /etc/rancher/node /var/lib/rancher/rke2 /var/lib/kubelet /var/lib/cni /var/log/pods \
    /var/log/containers "$prefix/share/rke2"; do
    rm -rf "$dir" 2>/dev/null || find "$dir" -mindepth 1 -delete
done
rmdir /etc/rancher /var/lib/rancher 2>/dev/null
rm -f "$bin/rke2" "$bin/rke2-killall.sh" "$bin/rke2-uninstall.sh"
exit 0
