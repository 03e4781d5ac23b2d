package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/smalldisk"
)

var aCreate = []string{"create", "cluster", "dev", "--provision", "--cloud", "docker"}

func TestEveryCommandReportsAFullDisk(t *testing.T) {
	disk := smalldisk.Mount(t, 500)
	p := newLocalUser(t)
	p.env[config.EnvDir] = filepath.Join(disk, "state")
	if got := p.run("get", "clusters"); got.code != 0 || strings.Contains(got.err, "Warning") {
		t.Fatalf("with free space: exit %d, %s", got.code, got.err)
	}
	for _, tt := range []struct {
		name  string
		left  int // MiB
		says  string
		state int // the exit code of server status
	}{
		{"nearly full", 100, "is nearly full", ExitUnreachable}, // the stand-in has no worker
		{"full", 8, "skyd is not managing clusters, and the output may be out of date", ExitUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			filling, err := smalldisk.Fill(disk, tt.left)
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"get", "clusters"}, {"get", "clusters", "-o", "json"}, {"get", "events"},
				{"server", "start"}} {
				if got := p.run(args...); got.code != 0 || !strings.Contains(got.err, tt.says) ||
					!strings.Contains(got.err, "free some disk space") {
					t.Errorf("%v: exit %d, %s", args, got.code, got.err)
				}
			}
			if got := p.run("server", "status"); got.code != tt.state ||
				!strings.Contains(got.out, "free some disk space") {
				t.Errorf("server status: exit %d, %s%s", got.code, got.out, got.err)
			}
			if got := p.run("server", "status", "-o", "json"); !strings.Contains(got.out, `"free_bytes"`) ||
				!strings.Contains(got.out, "full: ") {
				t.Errorf("server status: %s%s", got.out, got.err)
			}
			if got := p.run(aCreate...); got.code != ExitUnreachable || !strings.Contains(got.err, "full: ") ||
				!strings.Contains(got.err, "free some disk space") {
				t.Errorf("create: exit %d, %s", got.code, got.err)
			}
			if err := filling.Free(); err != nil {
				t.Fatal(err)
			}
			if got := p.run("get", "clusters"); got.code != 0 || strings.Contains(got.err, "Warning") {
				t.Errorf("with free space again: exit %d, %s", got.code, got.err)
			}
		})
	}
}

func TestNoServerIsStartedOnAFullDisk(t *testing.T) {
	disk := smalldisk.Mount(t, 8)
	p := newLocalUser(t)
	p.env[config.EnvDir] = disk
	for _, args := range [][]string{{"get", "clusters"}, {"server", "start"}, aCreate} {
		if got := p.run(args...); got.code != ExitUnreachable || !strings.Contains(got.err, "is full: ") {
			t.Errorf("%v: exit %d, %s", args, got.code, got.err)
		}
	}
	if got := p.run("server", "status"); got.code != ExitUnreachable || !strings.Contains(got.out, "is full: ") {
		t.Errorf("server status: exit %d, %s%s", got.code, got.out, got.err)
	}
}
