package vault

import (
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

const (
	// sealChunk and sealTag: age encrypts chunks of 64 KiB and adds a tag to each:
	// https://github.com/C2SP/C2SP/blob/main/age.md
	sealChunk, sealTag = 64 << 10, 16
	// sealHeader is the room for age's header with one X25519 recipient, about 200 bytes, and the nonce.
	sealHeader = 256
)

// readError is an error of the reader that is sealed, not of the vault.
type readError struct{ cause error }

func (e *readError) Error() string { return "reading what to keep: " + e.cause.Error() }

func (e *readError) Unwrap() error { return e.cause }

// seal writes what a reader has to a writer, sealed to an identity, until the context ends. An error of the reader is
// a *readError.
func seal(ctx context.Context, w io.Writer, identity *age.X25519Identity, r io.Reader) error {
	sealed, err := age.Encrypt(w, identity.Recipient())
	if err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	// sealed is not closed after an error: without its end the file cannot be opened.
	if _, err := io.Copy(sealed, &sourceReader{ctx: ctx, r: r}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return sealed.Close()
}

// sourceReader ends with its context, and marks errors of its reader.
type sourceReader struct {
	ctx context.Context //nolint:containedctx // a reader of one call
	r   io.Reader
}

func (s *sourceReader) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{err}
	}
	return n, err
}

// openSealed returns what a sealed file has. An error of the file itself is returned as it is; whatever age does not
// accept is Damaged. Close closes the file.
func openSealed(file io.ReadCloser, identity *age.X25519Identity, name string) (io.ReadCloser, error) {
	o := &openedFile{name: name, file: &storedReader{ReadCloser: file}}
	plain, err := age.Decrypt(o.file, identity)
	if err != nil {
		_ = file.Close() // only read from
		return nil, o.classify(err)
	}
	o.plain = plain
	return o, nil
}

// storedReader remembers why the storage could not be read.
type storedReader struct {
	io.ReadCloser
	failure error
}

func (s *storedReader) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped io.EOF is a failure
		s.failure = err
	}
	return n, err
}

// openedFile is the content of a sealed file.
type openedFile struct {
	name  string
	file  *storedReader
	plain io.Reader
}

func (o *openedFile) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped io.EOF is a failure
		err = o.classify(err)
	}
	return n, err
}

func (o *openedFile) Close() error { return o.file.Close() }

func (o *openedFile) classify(err error) error {
	if o.file.failure != nil {
		return o.file.failure
	}
	if other := new(age.NoIdentityMatchError); errors.As(err, &other) {
		return &Error{Kind: WrongKey, Message: o.name + " is sealed to another key, or its start is damaged"}
	}
	return &Error{Kind: Damaged, Message: o.name + " is damaged or not complete", Cause: err}
}
