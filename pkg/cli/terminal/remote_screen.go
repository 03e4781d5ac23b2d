package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// UnfilteredWriter returns the stream behind a writer of commands, for output that a person asked for as it is: that of
// a session on a machine.
func UnfilteredWriter(w io.Writer) io.Writer { return rawWriter(w) }

// EnterRawMode passes every key of a terminal on as it is, Ctrl-C too, until restore is called.
func EnterRawMode(stream any) (restore func(), err error) {
	f, ok := rawStream(stream).(fileDescriptor)
	if !ok {
		return nil, errors.New("the input is not a terminal")
	}
	fd := int(f.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(fd, before) }, nil // the process ends next
}

// Size is the size of a terminal in characters.
type Size struct{ Width, Height int }

// ReadSize returns the size of a terminal, or 80 by 24 if it is unknown.
func ReadSize(stream any) Size {
	w, h := readSize(stream)
	return Size{w, h}
}

// FollowSize calls changed with the size of a terminal whenever it changes, until ctx ends.
func FollowSize(ctx context.Context, stream any, changed func(Size)) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				changed(ReadSize(stream))
			case <-ctx.Done():
				return
			}
		}
	}()
}
