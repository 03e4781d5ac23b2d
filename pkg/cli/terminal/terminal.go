// Package terminal draws progress on a terminal, and keeps text that others wrote from steering it.
package terminal

import (
	"io"

	"golang.org/x/term"
)

type fileDescriptor interface{ Fd() uintptr }

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := rawStream(stream).(fileDescriptor)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ReadWidth returns the width of a terminal in characters, and false if the stream is none or does not tell.
func ReadWidth(stream any) (int, bool) {
	f, ok := rawStream(stream).(fileDescriptor)
	if !ok {
		return 0, false
	}
	w, _, err := term.GetSize(int(f.Fd()))
	return w, err == nil && w > 0
}

// readSize returns the width and height of a terminal in characters, or 80 by 24 if they are unknown.
func readSize(stream any) (width, height int) {
	if f, ok := rawStream(stream).(fileDescriptor); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

// rawStream is rawWriter for any stream.
func rawStream(stream any) any {
	if w, ok := stream.(io.Writer); ok {
		return rawWriter(w)
	}
	return stream
}
