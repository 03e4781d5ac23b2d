# Where docker.sh keeps what docker-down.sh has to know; sourced by both.
state=${SKYCTL_SETUP_STATE:-/var/lib/skyctl-setup}
pidfile=$state/dockerd.pid
ended=$state/dockerd.exit
log=$state/dockerd.log
by_systemd=$state/docker-by-systemd
