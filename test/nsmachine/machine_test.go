package nsmachine

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestMachinesChangeNothingAndDoNotDisturbEachOther(t *testing.T) {
	const dir, deeper = "/var/lib/skyctl-nsmachine-test/one", "/var/lib/skyctl-nsmachine-test/two/three"
	first := Start(t, []string{dir, deeper, "/etc/skyctl-nsmachine-test", "/usr/local"})
	first.RunShell("echo stays >" + dir + "/file; echo stays >" + deeper + "/file; echo stays >/usr/local/file")
	t.Run("another one, which ends", func(t *testing.T) {
		second := Start(t, []string{dir})
		if got := second.RunShell("ls -A " + dir + "; ls /etc/hostname"); got != "/etc/hostname" {
			t.Errorf("it has %q", got)
		}
	})
	if got := first.RunShell("cat " + dir + "/file " + deeper + "/file /usr/local/file"); got != "stays\nstays\nstays" {
		t.Errorf("the first machine has %q", got)
	}
	for _, path := range []string{"/var/lib/skyctl-nsmachine-test", "/etc/skyctl-nsmachine-test", "/usr/local/file"} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s on this computer: %v", path, err)
		}
	}
}
