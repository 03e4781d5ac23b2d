package computer

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// procDir is where Linux describes processes and sockets, see proc(5). Other systems do not have it: owners of ports
// are then unknown.
const procDir = "/proc"

// IsPortOfOtherUser reports whether another user's program listens on a port of loopback.
func IsPortOfOtherUser(port int) bool {
	uid, found := findPortUser(port)
	return found && uid != os.Getuid()
}

// DescribePortOwner says whose program listens on a port of loopback: "ann, who runs skyd (process 12)". The processes
// that have the sockets of another user are not visible. It is empty if that is unknown.
func DescribePortOwner(port int) string {
	uid, found := findPortUser(port)
	if !found {
		return ""
	}
	name := "user " + strconv.Itoa(uid)
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = u.Username
	}
	switch running := listSkydOf(uid); len(running) {
	case 0:
		return name
	case 1:
		return fmt.Sprintf("%s, who runs skyd (process %d)", name, running[0])
	default:
		return name + ", who runs skyd"
	}
}

// findPortUser returns the user whose program listens on a port of loopback, or of all addresses.
func findPortUser(port int) (uid int, found bool) {
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		data, err := os.ReadFile(filepath.Join(procDir, table))
		if err != nil {
			continue
		}
		if uid, found = parseListener(data, port); found {
			return uid, true
		}
	}
	return 0, false
}

// listening is the state of a listening socket in the kernel's tables.
const listening = "0A"

// parseListener finds the user of a listening socket in a table of the kernel's sockets.
func parseListener(table []byte, port int) (uid int, found bool) {
	want := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // sl, local address, remote address, state, queues, timer, retransmits, uid
		if len(f) < 8 || f[3] != listening || !strings.HasSuffix(f[1], want) {
			continue
		}
		if uid, err := strconv.Atoi(f[7]); err == nil {
			return uid, true
		}
	}
	return 0, false
}

// listSkydOf returns the processes of a user that are called skyd, other than this one.
func listSkydOf(uid int) (running []int) {
	names, err := filepath.Glob(filepath.Join(procDir, "[0-9]*", "comm"))
	if err != nil {
		return nil
	}
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		comm, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(comm)) != "skyd" {
			continue
		}
		info, err := os.Stat(filepath.Dir(name))
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			running = append(running, pid)
		}
	}
	return running
}
