# The state that docker.sh keeps for docker-down.sh; both source it.
state=${SKYCTL_SETUP_STATE:-/var/lib/skyctl-setup}
pidfile=$state/dockerd.pid
ended=$state/dockerd.exit
log=$state/dockerd.log
by_systemd=$state/docker-by-systemd
