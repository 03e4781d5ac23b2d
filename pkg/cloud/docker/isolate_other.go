//go:build !linux

package docker

import "os/exec"

// isolate has nothing to do: debootstrap is Linux's own.
func isolate(*exec.Cmd) {}
