// Package terminal draws progress on a terminal, and keeps text that others wrote from steering it.
package terminal

import (
	"io"

	"golang.org/x/term"
)

type fileDescriptor interface{ Fd() uintptr }

// IsTerminal is true for a file that is a terminal; a buffer never is.
func IsTerminal(stream any) bool {
	f, ok := rawStream(stream).(fileDescriptor)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readSize is the width and height of a terminal in characters, with a guess where it can't be asked.
func readSize(stream any) (width, height int) {
	if f, ok := rawStream(stream).(fileDescriptor); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

// rawStream is the stream behind a writer that cleans what is written to it.
func rawStream(stream any) any {
	if w, ok := stream.(io.Writer); ok {
		return rawWriter(w)
	}
	return stream
}
