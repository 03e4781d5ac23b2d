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

// A command on a machine is run by the user's login shell, whose own output (a greeting in .bashrc, a locale warning,
// messages of sudo) arrives on the same two streams as the output of the command. So the machine frames both streams
// with a mark that is random for each call: text before the opening mark and after the closing one is not output of the
// command. The closing mark includes the exit status, which a trap of the login shell could change.
//
// The mark is the first line of the standard input, not part of the command, which a shell with set -x would print. If
// a shell reads its own commands from the standard input, that line makes it exit.
const (
	markLead   = "exit 79 "
	markOpens  = "<"
	markCloses = ">"
)

func newMark() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("generating an output mark: %w", err)
	}
	return "#" + hex.EncodeToString(b), nil
}

// markLength is the length of a mark, which the machine checks.
const markLength = 1 + 2*16

// maxNoise bounds the output of a login shell before the command starts.
const maxNoise = 1 << 20

// errNoise means that a login shell printed more than maxNoise.
var errNoise = errors.New("it prints endless output")

// frame passes on the text between the marks of a stream.
type frame struct {
	opens, closes []byte
	w             io.Writer
	// fail is called once, with the error of w or errNoise. Later data is dropped: a stream that is not read would
	// block the connection.
	fail func(error)

	mu     sync.Mutex
	phase  framePhase
	held   []byte     // a possible start of a mark
	noise  tailBuffer // text before the opening mark
	noisy  int
	status int
	opened chan struct{} // closed after the opening mark
	closed chan struct{} // closed after the complete closing mark
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

// seekOpening drops the text before the opening mark, and returns the rest.
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

// passOutput passes on the text before the closing mark, and returns the text after it.
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

// flushHeld passes on the held data once no more can arrive.
func (f *frame) flushHeld() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase == betweenMarks && len(f.held) > 0 {
		_, _ = f.w.Write(f.held)
	}
	f.held = nil
}

// shellOutput returns the last lines that the login shell printed.
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

// partialMarkLength returns the length of the longest suffix of data that may start a mark.
func partialMarkLength(data, mark []byte) int {
	for n := min(len(data), len(mark)-1); n > 0; n-- {
		if bytes.HasPrefix(mark, data[len(data)-n:]) {
			return n
		}
	}
	return 0
}

// streamFrames are the frames of the two streams of a call.
type streamFrames struct{ out, err *frame }

// hasBegun reports whether the command has started.
func (f streamFrames) hasBegun() bool {
	select {
	case <-f.out.opened:
		return true
	default:
		return false
	}
}

// shellOutput returns the last lines that the login shell printed on both streams.
func (f streamFrames) shellOutput() []string {
	lines := append(f.out.shellOutput(), f.err.shellOutput()...)
	return lines[max(0, len(lines)-maxNoiseLines):]
}

// maxNoiseLines bounds the quoted output of a login shell.
const maxNoiseLines = 5
