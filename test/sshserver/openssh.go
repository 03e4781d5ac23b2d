package sshserver

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/needs"
)

// OpenSSH is a running sshd of OpenSSH. Target logs in to it as the user of the test, with the private key Key.
type OpenSSH struct {
	Target remote.Target
	Key    []byte
}

// OpenSSHOptions configure an sshd.
type OpenSSHOptions struct {
	Name string
	// Address is the address to listen on, by default that of loopback. Port is by default a free one of loopback.
	Address string
	Port    int
	// Enter is put before the command of sshd, such as nsenter into a network.
	Enter []string
	// Settings are further lines of sshd_config.
	Settings []string
}

// mountOwnDirs gives a root's sshd, and what it runs, a /run and an /opt of their own: sshd needs an empty directory
// there, and the computer stays as it is.
const mountOwnDirs = `mount -t tmpfs -o mode=0755 tmpfs /run && mkdir -m 0755 /run/sshd && mount -t tmpfs tmpfs /opt &&
exec "$@"`

// StartOpenSSH runs sshd until the test ends. Without root's rights, such a server lets in its own user only.
func StartOpenSSH(t testing.TB, o OpenSSHOptions) *OpenSSH {
	t.Helper()
	argv := append(slices.Clone(o.Enter), needs.OpenSSH(t))
	if os.Geteuid() == 0 {
		argv = slices.Concat(o.Enter, []string{"unshare", "--mount", "--propagation", "private", "sh", "-c",
			mountOwnDirs, "sshd"}, argv[len(o.Enter):])
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = freeport.Get(t, 1)[0]
	}
	as, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hostPEM, hostKey := newKeyPair(t)
	key, authorized := newKeyPair(t)
	config := append([]string{"ListenAddress " + o.Address, fmt.Sprintf("Port %d", o.Port), "HostKey " + dir + "/host",
		"AuthorizedKeysFile " + dir + "/authorized", "StrictModes no", "UsePAM no", "PidFile none",
		"PasswordAuthentication no"}, o.Settings...)
	for file, text := range map[string]string{"host": string(hostPEM), "authorized": authorized,
		"config": strings.Join(config, "\n") + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	argv = append(argv, "-D", "-e", "-f", filepath.Join(dir, "config"))
	log := &lockedbuffer.Buffer{}
	server := exec.Command(argv[0], argv[1:]...)
	server.Stderr = log
	server.WaitDelay = 10 * time.Second
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", o.Name, log)
		}
	})
	eventually.Holds(t, o.Name+" listens", func() bool { return strings.Contains(log.String(), "Server listening on") })
	return &OpenSSH{Key: key, Target: remote.Target{Name: o.Name, Address: o.Address, Port: o.Port, User: as.Username,
		HostKey: hostKey}}
}
