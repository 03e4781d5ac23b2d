// Package vault keeps files off the machines of clusters: in a directory of this computer, or in S3-compatible storage.
// It seals each file to an age identity, so that nobody can read or change it where it lies.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"filippo.io/age"
)

// Vault keeps sealed files by name. All its errors that are not of the reader of Put are of type *Error, or those of
// the context. Several callers and processes may use one vault at a time.
type Vault interface {
	// Put seals what a reader has, and keeps it under a name, in place of an older file of that name. It returns the
	// size of the sealed file in bytes. If it fails, it leaves nothing, and an older file stays as it was. An error of
	// the reader is wrapped. See WithSize.
	Put(ctx context.Context, name string, r io.Reader) (sealed int64, err error)
	// Open returns the content of a file. A reader that reads it to the end (io.EOF) has got exactly what was put in:
	// if the file is damaged or not complete, Read fails. The context has to last until Close.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Delete removes a file. It succeeds if there is none.
	Delete(ctx context.Context, name string) error
	// List returns all files in the order of their names.
	List(ctx context.Context) ([]Entry, error)
}

// Entry is a file of a vault.
type Entry struct {
	Name  string
	Bytes int64 // of the sealed file
}

// maxNameBytes leaves room in a file name (255 bytes) for what atomicfile adds.
const maxNameBytes = 200

// validName matches what is a safe path of a file system and of S3: folders and a file that do not start with a dot.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

func checkName(name string) error {
	if len(name) > maxNameBytes || !validName.MatchString(name) {
		return &Error{Kind: InvalidName, Message: fmt.Sprintf(
			"the name %q of a file to keep is invalid: it has at most "+
				"%d letters, digits, '.', '_', '-' and '/', and its parts start with a letter or a digit", name,
			maxNameBytes)}
	}
	return nil
}

// NewIdentity makes the secret that seals and opens the files of a vault: AGE-SECRET-KEY-1…
func NewIdentity() (string, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("making the key that seals snapshots: %w", err)
	}
	return identity.String(), nil
}

// parseIdentity reads the text of NewIdentity. Its error does not quote it.
func parseIdentity(text string) (*age.X25519Identity, error) {
	identity, err := age.ParseX25519Identity(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("the key that seals snapshots is invalid: it is one line that starts with " +
			"AGE-SECRET-KEY-1")
	}
	return identity, nil
}

// WithSize returns a reader of which Put knows the size in bytes before it reads: it then refuses at once what the
// vault has no room for, and fails if the reader has more or less.
func WithSize(r io.Reader, bytes int64) io.Reader {
	return &sizedReader{Reader: r, size: bytes, left: bytes}
}

type sizedReader struct {
	io.Reader
	size, left int64
}

func (r *sizedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.left -= int64(n)
	switch {
	case r.left < 0:
		return n, fmt.Errorf("it has more than the %d bytes that were announced", r.size)
	case errors.Is(err, io.EOF) && r.left > 0:
		return n, fmt.Errorf("it ended after %d of %d bytes: %w", r.size-r.left, r.size, io.ErrUnexpectedEOF)
	}
	return n, err
}

// sealedSize returns how many bytes a reader has once it is sealed, 0 if that is unknown.
func sealedSize(r io.Reader) int64 {
	sized, ok := r.(*sizedReader)
	if !ok {
		return 0
	}
	chunks := max(1, (sized.size+sealChunk-1)/sealChunk)
	return sealHeader + sized.size + chunks*sealTag
}
