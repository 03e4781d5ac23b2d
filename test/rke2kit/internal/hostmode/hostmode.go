// Package hostmode reads the files by which a test asks a machine to fail or to be slow as a real one can be.
package hostmode

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Dir has the files. They are read each time that they matter, so a test can write and remove them at any time.
//
//	pull-fails      N, and optionally the cause: the next N starts of RKE2 fail to pull the runtime image, and exit
//	kubelet-exits   while the file exists the kubelet exits at once; its content is the last line of kubelet.log
//	slow-api        seconds by which the apiserver starts later
//	uninitialized   on a server: seconds that its cloud controller takes to initialise a Node
const Dir = "/etc/skyctl-test"

// Names of the files.
const (
	PullFails     = "pull-fails"
	KubeletExits  = "kubelet-exits"
	SlowAPI       = "slow-api"
	Uninitialized = "uninitialized"
)

// Modes are the files of one directory.
type Modes struct{ Dir string }

// Host is what this machine is asked to do.
var Host = Modes{Dir: Dir}

// Line returns the content of a file without the white space around it, and whether the file exists.
func (m Modes) Line(name string) (string, bool) {
	data, err := os.ReadFile(filepath.Join(m.Dir, name))
	return strings.TrimSpace(string(data)), err == nil
}

// Seconds returns the number in a file, or 0 if it has none.
func (m Modes) Seconds(name string) time.Duration {
	line, _ := m.Line(name)
	n, err := strconv.Atoi(line)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// TakeFailure uses up one of the failures that a file asks for: a number, then optionally a cause. It returns the
// cause, and whether there was a failure left.
func (m Modes) TakeFailure(name string) (string, bool) {
	line, _ := m.Line(name)
	number, cause, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n <= 0 {
		return "", false
	}
	left := strings.TrimSpace(strconv.Itoa(n-1) + " " + cause)
	if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(left+"\n"), 0o644); err != nil {
		return "", false
	}
	return strings.TrimSpace(cause), true
}
