#!/bin/sh
# Turns a Debian with the packages of packages.txt into a host. It runs as root inside that Debian, with this directory
# at /recipe; run twice it changes nothing more.
set -eu
cd /recipe

# "*" is a password that none matches; "!" would be a locked account, which sshd refuses to keys as well.
id sky >/dev/null 2>&1 || useradd --uid 1000 --create-home --shell /bin/bash --password '*' sky
usermod --password '*' root
cat >/etc/sudoers.d/sky <<'SUDO'
sky ALL=(ALL) NOPASSWD: ALL
Defaults:sky !requiretty, !lecture
SUDO
chmod 0440 /etc/sudoers.d/sky

# No host may share a secret or an identity with another.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id
install -d -m 0755 /etc/ssh/sshd_config.d
install -m 0644 sshd.conf /etc/ssh/sshd_config.d/00-host.conf
install -m 0755 host-init /usr/local/sbin/host-init

# Logs stay small and in memory; the kernel's log is the whole machine's, not this host's.
install -d /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/host.conf <<'JOURNAL'
[Journal]
Storage=volatile
RuntimeMaxUse=32M
ReadKMsg=no
JOURNAL

# What a host has no use for, what would reach through to the machine below (devices, kernel settings, modules), and
# containerd, which Kubernetes brings up by itself.
mask() { for unit; do ln -sf /dev/null "/etc/systemd/system/$unit"; done; }
mask containerd.service \
    apt-daily.service apt-daily.timer apt-daily-upgrade.service apt-daily-upgrade.timer dpkg-db-backup.timer \
    fstrim.timer e2scrub_all.timer e2scrub_reap.service getty.target getty-static.service console-getty.service \
    systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
    systemd-udev-settle.service systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount swap.target \
    systemd-logind.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
    modprobe@.service systemd-firstboot.service systemd-remount-fs.service systemd-random-seed.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-pcrphase.service systemd-pcrphase-initrd.service \
    systemd-pcrphase-sysinit.service systemd-ask-password-console.path systemd-ask-password-wall.path \
    systemd-journal-flush.service systemd-machine-id-commit.service \
    sshd-keygen.service ssh.socket regenerate_ssh_host_keys.service
ln -sf /lib/systemd/system/multi-user.target /etc/systemd/system/default.target
install -d /etc/systemd/system/multi-user.target.wants
ln -sf /lib/systemd/system/ssh.service /etc/systemd/system/multi-user.target.wants/ssh.service

# The volumes' mount points, and what only weighs.
install -d /var/lib/rancher /var/lib/kubelet /var/lib/containerd
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/* \
    /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /tmp/* /var/tmp/*
