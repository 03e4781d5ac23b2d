package simcloud

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed host/rke2.sh
var rke2Script string

// The directories of RKE2's server on a host.
const (
	rke2Dir      = "/var/lib/rancher/rke2"
	serverDir    = rke2Dir + "/server"
	etcdDir      = serverDir + "/db/etcd"
	snapshotsDir = serverDir + "/db/snapshots"
)

// rke2Command is a command of RKE2 that a script on the host waits for.
type rke2Command struct {
	host           *host
	args           []string
	token          string // of its environment
	stdout, stderr bytes.Buffer
}

// serveCommands carries out RKE2's commands on the host until the pipe is closed.
func (h *host) serveCommands() error {
	if err := h.writeFile("/opt/fake/rke2", rke2Script, 0o755); err != nil {
		return err
	}
	pipe := h.outsidePath("/opt/fake/commands")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		return err
	}
	// Open for writing too, it has no end when a script closes its own.
	requests, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	h.commands = requests
	go func() {
		lines := bufio.NewScanner(requests)
		for lines.Scan() {
			go h.answerCommand(path.Join("/opt/fake", path.Base(lines.Text())))
		}
	}()
	return nil
}

// answerCommand carries out a command and writes its answer. A script that has ended needs none.
func (h *host) answerCommand(dir string) {
	args := strings.Split(h.readFile(dir+"/arguments"), "\n")
	c := &rke2Command{host: h, args: args, token: h.readFile(dir + "/token")}
	code := 0
	if err := c.run(); err != nil {
		c.logf("fatal", "Error: %v", err)
		code = 1
	}
	_ = h.writeFile(dir+"/stdout", c.stdout.String(), 0o600)
	_ = h.writeFile(dir+"/stderr", c.stderr.String(), 0o600)
	pipe, err := os.OpenFile(h.outsidePath(dir+"/exit"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintln(pipe, code)
	_ = pipe.Close()
}

func (c *rke2Command) run() error {
	switch command := c.args[0]; command {
	case "etcd-snapshot":
		return c.runSnapshotCommand(c.args[1:])
	case "server":
		return c.runServer(c.args[1:])
	default:
		return fmt.Errorf("no such command: %s", command)
	}
}

// logf writes a line of RKE2's log.
func (c *rke2Command) logf(level, format string, args ...any) {
	writeLogLine(&c.stderr, level, fmt.Sprintf(format, args...))
}

func writeLogLine(w io.Writer, level, message string) {
	_, _ = fmt.Fprintf(w, "time=%q level=%s msg=%s\n", time.Now().Format(time.RFC3339), level, strconv.Quote(message))
}

// parseFlags reads --key value, --key=value and switches, and returns the arguments after them.
func parseFlags(args []string, switches ...string) (flags map[string]string, rest []string, err error) {
	flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return flags, args[i:], nil
		}
		name, value, has := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		isSwitch := false
		for _, s := range switches {
			isSwitch = isSwitch || s == name
		}
		switch {
		case has:
		case isSwitch:
			value = "true"
		case i+1 == len(args):
			return nil, nil, fmt.Errorf("flag needs an argument: -%s", name)
		default:
			i++
			value = args[i]
		}
		flags[name] = value
	}
	return flags, nil, nil
}
