package sshserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/needs"
)

// OpenSSH is a running sshd of OpenSSH. Target logs in to it as its user, with the private key Key.
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

// mountOwnDirs gives an sshd that enters another network as root, and what it runs, a /run and an /opt of their own:
// sshd needs an empty directory there, and the computer stays as it is. It unlocks root there, whom sshd without PAM
// refuses if the password is locked, as many installers leave it ("!" of shadow(5)).
const mountOwnDirs = `mount -t tmpfs -o mode=0755 tmpfs /run && mkdir -m 0755 /run/sshd && mount -t tmpfs tmpfs /opt &&
(umask 077 && sed 's/^root:[^:]*:/root:*:/' /etc/shadow >/run/shadow) && mount --bind /run/shadow /etc/shadow &&
exec "$@"`

// StartOpenSSH runs sshd until the test ends. A test of root's runs it as nobody, unless it enters another network: a
// server of nobody needs no mounts, and lets in its own user only.
func StartOpenSSH(t testing.TB, o OpenSSHOptions) *OpenSSH {
	t.Helper()
	argv, pam := []string{needs.OpenSSH(t)}, "yes"
	if len(o.Enter) > 0 {
		argv = slices.Concat(o.Enter, []string{"unshare", "--mount", "--propagation", "private", "sh", "-c",
			mountOwnDirs, "sshd"}, argv)
		pam = "no" // whose modules for sessions want more than such a server has
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = freeport.Get(t, 1)[0]
	}
	as, credential := chooseUser(t, o)
	dir := newDirOf(t, credential)
	hostPEM, hostKey := newKeyPair(t)
	key, authorized := newKeyPair(t)
	config := append([]string{"ListenAddress " + o.Address, fmt.Sprintf("Port %d", o.Port), "HostKey " + dir + "/host",
		"AuthorizedKeysFile " + dir + "/authorized", "StrictModes no", "UsePAM " + pam, "PidFile none",
		"PasswordAuthentication no"}, o.Settings...)
	for file, text := range map[string]string{"host": string(hostPEM), "authorized": authorized,
		"config": strings.Join(config, "\n") + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		giveTo(t, credential, filepath.Join(dir, file))
	}
	argv = append(argv, "-D", "-e", "-f", filepath.Join(dir, "config"))
	log := &lockedbuffer.Buffer{}
	server := exec.Command(argv[0], argv[1:]...)
	server.Stderr = log
	if credential != nil {
		server.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
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

// chooseUser returns the user of the server, with the credential for becoming it; nil if it is the test's own.
func chooseUser(t testing.TB, o OpenSSHOptions) (*user.User, *syscall.Credential) {
	t.Helper()
	as, err := user.Current()
	if err != nil || as.Uid != "0" || len(o.Enter) > 0 {
		if err != nil {
			t.Fatal(err)
		}
		return as, nil
	}
	if as, err = user.Lookup("nobody"); err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(as.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(as.Gid, 10, 32)
	if err = errors.Join(err, gidErr); err != nil {
		t.Fatal(err)
	}
	return as, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// newDirOf makes a directory that the user can read.
func newDirOf(t testing.TB, as *syscall.Credential) string {
	t.Helper()
	dir := t.TempDir()
	if as != nil {
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	giveTo(t, as, dir)
	return dir
}

func giveTo(t testing.TB, as *syscall.Credential, name string) {
	t.Helper()
	if as == nil {
		return
	}
	if err := os.Chown(name, int(as.Uid), int(as.Gid)); err != nil {
		t.Fatal(err)
	}
}
