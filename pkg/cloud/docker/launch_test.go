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
	t.Log(s.run(m, `(sudo containerd >/tmp/c.log 2>&1 &) ; sleep 1.5; sudo mkdir -p /var/lib/containerd/r; for d in bin usr lib lib64 etc; do sudo cp -a /$d /var/lib/containerd/r/ ; done; sudo mkdir -p /var/lib/containerd/r/proc /var/lib/containerd/r/sys  /var/lib/containerd/r/dev; time sudo ctr run --rm --cgroup /kubepods/x1 --memory-limit 100000000 --rootfs /var/lib/containerd/r t1 /bin/sh -c 'cat /proc/self/cgroup; echo in pod'; ls -d /sys/fs/cgroup/memory/kubepods; tail -3 /tmp/c.log; nproc; free -m; systemctl is-system-running; journalctl -n 5 2>&1 | tail -3`))
	t.Log(s.run(m, `for u in $(systemctl list-units --state=masked --no-legend --plain | cut -d' ' -f1); do echo $u; done`))
	m.Name = ""
}
