package remote

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// What runs a command on a machine is its user's login shell, and what that prints by itself (a greeting in .bashrc, a
// warning about the locale, what sudo has to say) comes over the same two streams as the command's own output. So the
// far side frames both streams with a mark that is random for each call: what stands before the opening mark and after
// the closing one is not the command's. The closing mark also carries the exit status, which a trap of the login shell
// could change.
//
// The mark travels as the first line of the standard input, and not in the command, which a shell with set -x would
// print. To a shell that takes the standard input for its own commands that line says to exit.
const (
	markLead   = "exit 79 "
	markOpens  = "<"
	markCloses = ">"
)

func newMark() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("making a mark: %w", err)
	}
	return "#" + hex.EncodeToString(b), nil
}

// markLength is the length of a mark; the far side checks it.
const markLength = 1 + 2*16

// maxNoise bounds what a login shell may print before the command begins.
const maxNoise = 1 << 20

// errNoise says that a login shell printed more than maxNoise.
var errNoise = errors.New("its login shell prints without end")

// frame passes on what is between the marks of a stream.
type frame struct {
	opens, closes []byte
	w             io.Writer
	// fail is called, once, with what w refuses to take, or errNoise. What comes after that is dropped: a stream that
	// nobody reads would hold up the connection.
	fail func(error)

	mu     sync.Mutex
	phase  framePhase
	held   []byte     // what may become a mark
	noise  tailBuffer // what came before the opening mark
	noisy  int
	status int
	opened chan struct{} // closed once the opening mark has come
	closed chan struct{} // closed once the closing mark has come whole
}

type framePhase int

const (
	beforeMarks framePhase = iota
	betweenMarks
	atClosingMark
	afterMarks
	refused
)

func newFrame(mark string, w io.Writer, fail func(error)) *frame {
	return &frame{
		opens: []byte(mark + markOpens + "\n"), closes: []byte(mark + markCloses), w: w, fail: fail,
		opened: make(chan struct{}), closed: make(chan struct{}),
	}
}

func (f *frame) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := append(f.held, p...)
	f.held = nil
	if f.phase == beforeMarks {
		data = f.seekOpening(data)
	}
	if f.phase == betweenMarks {
		data = f.passOutput(data)
	}
	if f.phase == atClosingMark {
		f.readExitStatus(data)
	}
	return len(p), nil
}

// seekOpening drops what is before the opening mark, and returns what follows it.
func (f *frame) seekOpening(data []byte) []byte {
	i := bytes.Index(data, f.opens)
	if i < 0 {
		i = len(data) - partialMarkLength(data, f.opens)
		f.dropNoise(data[:i])
		f.held = bytes.Clone(data[i:])
		return nil
	}
	f.dropNoise(data[:i])
	if f.phase == beforeMarks {
		f.phase = betweenMarks
		close(f.opened)
	}
	return data[i+len(f.opens):]
}

func (f *frame) dropNoise(noise []byte) {
	_, _ = f.noise.Write(noise)
	if f.noisy += len(noise); f.noisy > maxNoise {
		f.failOnce(errNoise)
	}
}

// passOutput passes on what is before the closing mark, and returns what follows that.
func (f *frame) passOutput(data []byte) []byte {
	i := bytes.Index(data, f.closes)
	rest := []byte(nil)
	if i < 0 {
		i = len(data) - partialMarkLength(data, f.closes)
		f.held = bytes.Clone(data[i:])
	} else {
		rest = data[i+len(f.closes):]
		f.phase = atClosingMark
	}
	if i > 0 {
		if _, err := f.w.Write(data[:i]); err != nil {
			f.failOnce(err)
		}
	}
	return rest
}

func (f *frame) readExitStatus(data []byte) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		if len(data) < 8 {
			f.held = bytes.Clone(data)
		}
		return
	}
	if status, err := strconv.Atoi(string(data[:i])); err == nil {
		f.status = status
		f.phase = afterMarks
		close(f.closed)
	}
}

func (f *frame) failOnce(err error) {
	if f.phase != refused {
		f.phase, f.held = refused, nil
		f.fail(err)
	}
}

// flushHeld passes on what was held back, once nothing more can come.
func (f *frame) flushHeld() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase == betweenMarks && len(f.held) > 0 {
		_, _ = f.w.Write(f.held)
	}
	f.held = nil
}

// shellOutput is what the login shell printed, the last lines.
func (f *frame) shellOutput() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase == beforeMarks {
		_, _ = f.noise.Write(f.held)
		f.held = nil
	}
	return f.noise.lastLines()
}

func (f *frame) exitStatus() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// partialMarkLength is how much of the end of some data may be the beginning of a mark.
func partialMarkLength(data, mark []byte) int {
	for n := min(len(data), len(mark)-1); n > 0; n-- {
		if bytes.HasPrefix(mark, data[len(data)-n:]) {
			return n
		}
	}
	return 0
}

// streamFrames are those of a call's two streams.
type streamFrames struct{ out, err *frame }

// hasBegun says whether the command has begun.
func (f streamFrames) hasBegun() bool {
	select {
	case <-f.out.opened:
		return true
	default:
		return false
	}
}

// shellOutput is what the login shell printed on both streams.
func (f streamFrames) shellOutput() []string {
	said := append(f.out.shellOutput(), f.err.shellOutput()...)
	return said[max(0, len(said)-maxNoiseLines):]
}

// maxNoiseLines bounds what is quoted of a login shell.
const maxNoiseLines = 5
