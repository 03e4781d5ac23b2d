package hostimage

import (
	"os/exec"
	"syscall"
)

// isolateCommand ends a command together with whatever it started, and with the mounts it made (debootstrap's /proc and
// /sys), so that removing the tree can't reach into them.
func isolateCommand(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: syscall.CLONE_NEWNS}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
