package docker_test

import (
	"log/slog"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func slogTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestHostComesUpAsAsked(t *testing.T) {
	s := newSite(t, docker.Options{})
	m := s.launch(s.request(0))
	t.Log(s.run(m, "id; systemctl is-system-running; sudo systemctl --failed; sudo systemctl list-units --type=service,socket,timer,mount --no-legend --plain; sudo systemd-analyze; sudo systemd-analyze blame | head; mount | grep cgroup; ls /sys/fs/cgroup/systemd /sys/fs/cgroup/memory; sudo iptables -L -n; cat /etc/machine-id; ls -la /dev/kmsg; df -h; ps aux"))
}
