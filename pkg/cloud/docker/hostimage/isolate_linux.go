package hostimage

import (
	"os/exec"
	"syscall"
)

// isolateCommand makes a command end together with its children and the mounts it creates (debootstrap's /proc and
// /sys), so that removing the directory tree cannot reach into them.
func isolateCommand(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: syscall.CLONE_NEWNS}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
