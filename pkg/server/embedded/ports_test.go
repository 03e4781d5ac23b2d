package embedded

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/needs"
)

// newDefaultPorts returns settings whose usual ports are free ones, which no setting names.
func newDefaultPorts(t *testing.T, env map[string]string) *config.Config {
	t.Helper()
	c, err := config.Load(nil, func(name string) string {
		if name == config.EnvDir {
			return t.TempDir()
		}
		return env[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	ports := freeport.Get(t, 4)
	c.UseDevPorts(config.Dev{TemporalPort: ports[0], UIPort: ports[1], EtcdPort: ports[2]})
	c.SkyPilot.Port = ports[3]
	return c
}

func listen(t *testing.T, port int) {
	t.Helper()
	l, err := freeport.ListenAgain(config.LoopbackAddress(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

func TestTakenPortsAreReplacedAndTheChoiceIsKept(t *testing.T) {
	c := newDefaultPorts(t, nil)
	usual := c.Dev
	if note, err := choosePorts(c); note != "" || err != nil || c.Dev != usual {
		t.Fatalf("with free ports: %q, %v, %+v", note, err, c.Dev)
	}
	if _, err := os.Stat(c.PortsFile()); !os.IsNotExist(err) {
		t.Errorf("a choice is recorded: %v", err)
	}
	listen(t, usual.TemporalPort)
	listen(t, usual.EtcdPort)
	note, err := choosePorts(c)
	if err != nil {
		t.Fatal(err)
	}
	chosen := c.Dev
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{me.Username, strconv.Itoa(usual.TemporalPort), strconv.Itoa(usual.EtcdPort),
		fmt.Sprintf("ports %d and %d belong to", usual.TemporalPort, usual.EtcdPort), fmt.Sprint("Temporal uses ",
			chosen.TemporalPort), fmt.Sprint("etcd uses ", chosen.EtcdPort)} {
		if !strings.Contains(note, says) {
			t.Errorf("the note lacks %q: %s", says, note)
		}
	}
	if chosen.UIPort != usual.UIPort || chosen.TemporalPort == usual.TemporalPort || chosen.EtcdPort == usual.EtcdPort {
		t.Errorf("from %+v to %+v", usual, chosen)
	}
	if c.Temporal.Address != config.LoopbackAddress(chosen.TemporalPort) ||
		c.Etcd.Endpoints[0] != "https://"+config.LoopbackAddress(chosen.EtcdPort) {
		t.Errorf("the addresses are %s and %v", c.Temporal.Address, c.Etcd.Endpoints)
	}
	if err := checkPortsFree(c); err != nil {
		t.Error(err)
	}
	c.UseDevPorts(usual) // the next start
	if note, err := choosePorts(c); note != "" || err != nil || c.Dev != chosen {
		t.Errorf("at the next start: %q, %v, %+v, want %+v", note, err, c.Dev, chosen)
	}
	listen(t, chosen.EtcdPort)
	c.UseDevPorts(usual)
	if note, err := choosePorts(c); note == "" || err != nil || c.Dev.EtcdPort == chosen.EtcdPort ||
		c.Dev.TemporalPort != chosen.TemporalPort {
		t.Errorf("with a recorded port taken: %q, %v, %+v", note, err, c.Dev)
	}
}

func TestPortsThatASettingNamesAreNotReplaced(t *testing.T) {
	port := freeport.Get(t, 1)[0]
	c := newDefaultPorts(t, map[string]string{"SKYCTL_DEV_UI_PORT": strconv.Itoa(port)})
	dev := c.Dev
	dev.UIPort = port
	c.UseDevPorts(dev)
	listen(t, port)
	if note, err := choosePorts(c); note != "" || err != nil || c.Dev != dev {
		t.Errorf("%q, %v, %+v", note, err, c.Dev)
	}
	if err := checkPortsFree(c); err == nil || !strings.Contains(err.Error(), "--dev-ui-port") ||
		!strings.Contains(err.Error(), " by ") {
		t.Errorf("%v", err)
	}
}

func TestDamagedRecordOfPortsIsIgnored(t *testing.T) {
	c := newDefaultPorts(t, nil)
	usual := c.Dev
	for _, text := range []string{"{", `{"dev.uiPort": 99999999}`, `{"dev.uiPort": "x"}`} {
		if err := os.WriteFile(c.PortsFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if note, err := choosePorts(c); note != "" || err != nil || c.Dev != usual {
			t.Errorf("%s: %q, %v, %+v", text, note, err, c.Dev)
		}
	}
}

// TestSkyPilotPortOfAnotherUserIsReplaced runs a listener as another user, whose program is called skyd.
func TestSkyPilotPortOfAnotherUserIsReplaced(t *testing.T) {
	needs.Root(t)
	c := newDefaultPorts(t, nil)
	usual := c.SkyPilot.Port
	listen(t, usual)
	if note, err := choosePorts(c); note != "" || err != nil || c.SkyPilot.Port != usual {
		t.Fatalf("the server of this user: %q, %v, %d", note, err, c.SkyPilot.Port)
	}
	c = newDefaultPorts(t, nil)
	usual = c.SkyPilot.Port
	l, err := freeport.ListenAgain(config.LoopbackAddress(usual))
	if err != nil {
		t.Fatal(err)
	}
	name, pid := listenAs(t, l.(*net.TCPListener), 1)
	note, err := choosePorts(c)
	if err != nil || c.SkyPilot.Port == usual ||
		!strings.Contains(note, fmt.Sprintf("belongs to %s, who runs skyd (process %d)", name, pid)) ||
		!strings.Contains(note, "the SkyPilot server uses") {
		t.Errorf("%q, %v, %d", note, err, c.SkyPilot.Port)
	}
}

// listenAs closes a listener and has another user's process, which is called skyd, listen at its address. It returns
// the user's name and the process.
func listenAs(t *testing.T, l *net.TCPListener, uid uint32) (name string, pid int) {
	t.Helper()
	address := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "perl", "-MIO::Socket::INET", "-e",
		`$0="skyd"; $|=1; my $l=IO::Socket::INET->new(LocalAddr=>"127.0.0.1",LocalPort=>$ARGV[0],Listen=>1,`+
			`ReuseAddr=>1) or die; print "ready\n"; <STDIN>`, strconv.Itoa(address.Port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	if text, err := io.ReadAll(io.LimitReader(stdout, 6)); err != nil || string(text) != "ready\n" {
		t.Fatalf("the other user's listener: %q, %v", text, err)
	}
	return u.Username, cmd.Process.Pid
}
