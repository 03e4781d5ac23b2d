package remote_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/needs"
)

// openSSHServer is a running sshd of OpenSSH on loopback.
type openSSHServer struct {
	target remote.Target
	key    []byte
}

// startOpenSSH runs sshd without privileges, as nobody if the test is root's. Such a server lets in its own user only.
func startOpenSSH(t *testing.T, name string, settings ...string) openSSHServer {
	t.Helper()
	program := needs.OpenSSH(t)
	as, err := user.Current()
	if err == nil && as.Uid == "0" {
		as, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(as.Uid)
	gid, _ := strconv.Atoi(as.Gid)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	hostKey, hostPublic, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	key, public, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	port := freeport.Get(t, 1)[0]
	config := append([]string{"ListenAddress 127.0.0.1", fmt.Sprintf("Port %d", port), "HostKey " + dir + "/host",
		"AuthorizedKeysFile " + dir + "/authorized", "StrictModes no", "UsePAM yes", "PidFile none",
		"PasswordAuthentication no"}, settings...)
	for file, text := range map[string]string{"host": string(hostKey), "authorized": public,
		"config": strings.Join(config, "\n") + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, file), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	server := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	server.Stderr = log
	server.WaitDelay = 10 * time.Second
	if os.Geteuid() == 0 {
		server.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log)
		}
	})
	eventually.Holds(t, name+" answers", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 4))
			c.Close()
		}
		return err == nil
	})
	return openSSHServer{key: key, target: remote.Target{Name: name, Address: "127.0.0.1", Port: port,
		User: as.Username, HostKey: strings.TrimSpace(hostPublic)}}
}

func TestMachineOfOpenSSHIsReachedThroughABastionOfOpenSSH(t *testing.T) {
	machine := startOpenSSH(t, "machine")
	for what, c := range map[string]struct{ settings, err string }{
		"open":   {fmt.Sprintf("PermitOpen localhost:%d", machine.target.Port), ""},
		"closed": {"AllowTcpForwarding no", "AllowTcpForwarding"},
		"others": {"PermitOpen 192.0.2.1:22", "AllowTcpForwarding"},
	} {
		bastion := startOpenSSH(t, "bastion "+what, c.settings)
		p := remote.NewPool(0)
		at := bastion.target
		p.SetRoutes(remote.Routes{ReadKey: keysOf(map[string][]byte{"key": bastion.key})})
		target := machine.target
		target.Bastion = remote.Bastion{User: at.User, Address: at.Address, Port: at.Port, HostKey: at.HostKey,
			Secret: "key"}
		target.Address = "localhost" // the bastion resolves the name
		_, err := p.GetHost(t.Context(), target, machine.key)
		p.Close()
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.err != "" && (!remote.IsLost(err) || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", what, err)
		}
	}
}
