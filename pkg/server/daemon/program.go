package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	binaryName = "skyd"
	// versionTimeout bounds one run of skyd version, which is a large program to load.
	versionTimeout = 20 * time.Second
	// maxLinks bounds how many links a name may lead through.
	maxLinks = 40
)

// FindSkyd finds the skyd of the running program: in the same directory, or else in $PATH. If the program was called
// by a link, as in /usr/local/bin or in a directory "current", and skyd can be too, it returns that path: it stays
// right when the link leads to another version.
func FindSkyd() (string, error) {
	if self, err := os.Executable(); err == nil {
		if beside := findBeside(self, findCalledPath(os.Args[0])); beside != "" {
			return beside, nil
		}
	}
	path, err := exec.LookPath(binaryName)
	if err != nil {
		return "", fmt.Errorf("%s is neither in this program's directory nor in $PATH: install it there, or "+
			"configure an external Temporal and etcd%s", binaryName, noSkydHint(runtime.GOOS))
	}
	return filepath.Abs(path)
}

// noSkydHint says how to get skyd on systems for which releases have none.
func noSkydHint(system string) string {
	if system == "linux" {
		return ""
	}
	return "; releases have " + binaryName + " for Linux only, make build in the sources builds it"
}

// findCalledPath returns the path by which this program was called, with its links; empty if it is unknown.
func findCalledPath(called string) string {
	path, err := exec.LookPath(called)
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	return path
}

// findBeside returns the skyd in the directory of a program that was called by a path, which can be empty or another
// program's. The result is empty if there is none.
func findBeside(program, called string) string {
	program, err := filepath.EvalSymlinks(program)
	if err != nil {
		return ""
	}
	resolved := filepath.Join(filepath.Dir(program), binaryName)
	if !isProgram(resolved) {
		resolved = ""
	}
	if !isSameFile(called, program) {
		return resolved
	}
	for range maxLinks {
		beside := filepath.Join(filepath.Dir(called), binaryName)
		if isProgram(beside) && (resolved == "" || isSameFile(beside, resolved)) {
			return beside
		}
		target, err := os.Readlink(called)
		if err != nil { // not a link
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(called), target)
		}
		called = target
	}
	return resolved
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func isSameFile(one, other string) bool {
	a, err := os.Stat(one)
	if err != nil {
		return false
	}
	b, err := os.Stat(other)
	return err == nil && os.SameFile(a, b)
}

// ReadSkydVersion asks a skyd program for its version.
func ReadSkydVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionTimeout, fmt.Errorf("no answer after %v", versionTimeout))
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", path, err)
	}
	words := strings.Fields(string(out))
	if len(words) < 2 || words[0] != binaryName {
		return "", fmt.Errorf("%s is not skyd: asked for its version, it prints %.40q", path, out)
	}
	return words[1], nil
}
