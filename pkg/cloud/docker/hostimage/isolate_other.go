//go:build !linux

package hostimage

import "os/exec"

// isolateCommand does nothing: debootstrap only runs on Linux.
func isolateCommand(*exec.Cmd) {}
