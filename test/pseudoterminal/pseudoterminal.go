// Package pseudoterminal opens terminals for tests of terminal output.
package pseudoterminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

// Terminal is a pseudo-terminal: Text returns what is written to Far, and Far reads what is written to Near.
type Terminal struct {
	Near, Far *os.File
	screen    lockedbuffer.Buffer
}

// Open opens a terminal of that size, and closes it when the test ends.
func Open(t *testing.T, width, height uint16) *Terminal {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(near.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	term := &Terminal{Near: near, Far: far}
	go io.Copy(&term.screen, near)
	t.Cleanup(func() { far.Close(); near.Close() })
	return term
}

// Text returns all output, with the terminal's line ends.
func (t *Terminal) Text() string { return strings.ReplaceAll(t.screen.String(), "\r\n", "\n") }

// Resize changes the size, and tells this process, as a terminal tells the program in its foreground.
func (t *Terminal) Resize(tb testing.TB, width, height uint16) {
	tb.Helper()
	if err := unix.IoctlSetWinsize(int(t.Near.Fd()), unix.TIOCSWINSZ,
		&unix.Winsize{Col: width, Row: height}); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Kill(unix.Getpid(), unix.SIGWINCH); err != nil {
		tb.Fatal(err)
	}
}
