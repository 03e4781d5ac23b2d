#!/bin/sh
# Stops everything the kit runs on this node, pods included. Data stays.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"

for unit in rke2-server rke2-agent; do
    systemctl stop "$unit.service" 2>/dev/null
done
prefix=$(dirname "$(dirname "$(readlink -f "$0")")")
"$prefix/bin/rke2" reap-components

# Processes whose command line names the kit's containerd are its shims; what
# runs in a pod is below one of them.
shims() {
    for dir in /proc/[0-9]*; do
        tr '\0' ' ' <"$dir/cmdline" 2>/dev/null |
            grep -q '^[^ ]*containerd-shim.* /run/k3s/containerd/containerd.sock' && echo "${dir#/proc/}"
    done
}

tree() {
    for pid in "$@"; do
        echo "$pid"
        tree $(cat /proc/"$pid"/task/*/children 2>/dev/null)
    done
}

pids=$(tree $(shims))
[ -z "$pids" ] || kill -9 $pids 2>/dev/null

# Deepest mounts first, and only the kit's own: a volume mounted on one of the
# roots belongs to the machine.
unmount_below() {
    awk -v root="$1/" 'index($5, root) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r mount; do
        umount -l "$mount"
    done
}
unmount_below /run/k3s
unmount_below /var/lib/rancher/rke2
unmount_below /var/lib/kubelet/pods
unmount_below /run/netns
rm -rf /run/k3s /run/rke2kit /var/lib/cni/networks/rke2kit /var/lib/cni/results
find /run/netns -maxdepth 1 -name 'cni-*' -delete 2>/dev/null

ip route flush proto 142 2>/dev/null
if command -v iptables-save >/dev/null; then
    iptables-save | grep -v -e KUBE- -e CNI- -e 'rke2kit pod network' | iptables-restore
fi

# The pods' cgroups are empty now, so rmdir is enough. In a tree shared with other
# machines only this one's own root is its business.
root=$(sed -n 's/.*"cgroupRoot": "\(.*\)".*/\1/p' /var/lib/rancher/rke2/agent/etc/kubelet.json 2>/dev/null)
root=${root:-/kubepods}
for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do
    for dir in "$mount$root" "$mount/kubepods.slice"; do
        [ ! -d "$dir" ] || find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
    done
done
exit 0
