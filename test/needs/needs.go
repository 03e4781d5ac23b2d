// Package needs declares what a test needs that not every computer has. `make check` runs tests in short mode, which
// skips such a test; otherwise it runs, and fails if the requirement is missing. Only tests import it.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Root is for tests that mount file systems, enter namespaces, give files to root or use ports below 1024.
func Root(t testing.TB) {
	t.Helper()
	skipInShortMode(t, "root")
}

// Docker is for tests that use a Docker engine.
func Docker(t testing.TB) {
	t.Helper()
	skipInShortMode(t, "a Docker engine")
}

// Kit is for tests that use the offline RKE2 kit or its programs.
func Kit(t testing.TB) {
	t.Helper()
	skipInShortMode(t, "the RKE2 kit")
}

// SkyPilot is for tests that use a SkyPilot API server.
func SkyPilot(t testing.TB) {
	t.Helper()
	skipInShortMode(t, "SkyPilot in its virtual environment")
}

// Program is for tests that run a program which `make setup` installs. It returns the program's path.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		skipInShortMode(t, name)
		t.Fatalf("%v; make setup installs it", err)
	}
	return path
}

// OpenSSH is for tests that run the server of OpenSSH. It returns the path of sshd.
func OpenSSH(t testing.TB) string {
	t.Helper()
	skipInShortMode(t, "the server of OpenSSH")
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("the server of OpenSSH: %v; make setup installs it", err)
	}
	return program
}

// BuiltPrograms is for tests that run skyctl as `make build` has built it. It returns the directory.
func BuiltPrograms(t testing.TB) string {
	t.Helper()
	const variable = "SKYCTL_TEST_BIN"
	directory := os.Getenv(variable)
	if directory == "" {
		skipInShortMode(t, "the built programs")
		t.Fatalf("%s is not set; make light sets it", variable)
	}
	return directory
}

func skipInShortMode(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs " + what)
	}
}
