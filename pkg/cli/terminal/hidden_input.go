package terminal

import (
	"context"
	"errors"

	"golang.org/x/term"
)

// ReadHidden reads a line from a terminal without showing it. If ctx ends before, it shows input again and returns; the
// line that is being read is lost.
func ReadHidden(ctx context.Context, stream any) ([]byte, error) {
	f, ok := rawStream(stream).(fileDescriptor)
	if !ok {
		return nil, errors.New("the input is not a terminal")
	}
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() { // it can outlive this function, until a line is read or the process ends
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
