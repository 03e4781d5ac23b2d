//go:build !linux

package hostimage

import "os/exec"

// isolateCommand has nothing to do: debootstrap is Linux's own.
func isolateCommand(*exec.Cmd) {}
