package backup

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// magic is the first line of every file that age has sealed.
const magic = "age-encryption.org/v1\n"

// source is a file to add to a backup.
type source struct {
	entry FileEntry
	open  func() (io.ReadCloser, error)
}

// writeArchive seals a manifest and its files to a recipient.
func writeArchive(w io.Writer, recipient string, m Manifest, files []source) error {
	to, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return fmt.Errorf("the recipient %s of backups is invalid", recipient)
	}
	buffered := bufio.NewWriterSize(w, 1<<20)
	sealed, err := age.Encrypt(buffered, to)
	if err != nil {
		return fmt.Errorf("sealing the backup: %w", err)
	}
	t := tar.NewWriter(sealed)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: manifestFile, Size: int64(len(text)), Mode: 0o600}); err != nil {
		return err
	}
	if _, err := t.Write(text); err != nil {
		return err
	}
	for _, f := range files {
		if err := writeFile(t, f); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), sealed.Close(), buffered.Flush())
}

func writeFile(t *tar.Writer, f source) error {
	if err := t.WriteHeader(&tar.Header{Name: f.entry.Name, Size: f.entry.Bytes, Mode: 0o600}); err != nil {
		return err
	}
	r, err := f.open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read from
	_, err = io.Copy(t, r)
	return err
}

// readArchive opens a backup and passes each file to handle, which has to read it whole. accept can reject the
// manifest. If readArchive succeeds, the seal, all checksums and the end of the file are right.
func readArchive(path string, key RecoveryKey, accept func(Manifest) error,
	handle func(FileEntry, io.Reader) error) (Manifest, error) {
	f, err := openSealed(path)
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = f.Close() }() // only read from
	plain, err := age.Decrypt(bufio.NewReaderSize(f, 1<<20), key.identity)
	if other := new(age.NoIdentityMatchError); errors.As(err, &other) {
		return Manifest{}, &FileError{File: path, Problem: "is sealed to another recovery key"}
	} else if err != nil {
		return Manifest{}, &FileError{File: path, Problem: "is damaged or incomplete", Cause: err}
	}
	m, err := readSealedFiles(plain, accept, handle)
	if file := new(FileError); errors.As(err, &file) {
		file.File = path
		return m, file
	}
	if local := new(localError); errors.As(err, &local) {
		return m, local.error
	}
	if err != nil {
		return m, &FileError{File: path, Problem: "is damaged or incomplete", Cause: err}
	}
	return m, nil
}

// localError is an error of this computer, not of the backup.
type localError struct{ error }

func readSealedFiles(plain io.Reader, accept func(Manifest) error,
	handle func(FileEntry, io.Reader) error) (Manifest, error) {
	t := tar.NewReader(plain)
	h, err := t.Next()
	if err != nil {
		return Manifest{}, err
	}
	if h.Name != manifestFile {
		return Manifest{}, errors.New("it does not start with a manifest")
	}
	text, err := io.ReadAll(io.LimitReader(t, regularfile.SmallFile))
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(text)
	if err == nil {
		err = accept(m)
	}
	if err == nil {
		err = m.checkFiles()
	}
	if err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if h, err = t.Next(); err != nil {
			return m, fmt.Errorf("reading %s: %w", f.Name, err)
		}
		if h.Name != f.Name || h.Size != f.Bytes {
			return m, fmt.Errorf("it has %s with %d bytes, and its manifest %s with %d", h.Name, h.Size, f.Name,
				f.Bytes)
		}
		sum := sha256.New()
		if err := handle(f, io.TeeReader(t, sum)); err != nil {
			return m, err
		}
		if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
			return m, fmt.Errorf("the checksum of %s differs", f.Name)
		}
	}
	switch _, err := t.Next(); {
	case err == nil:
		return m, errors.New("it has more files than its manifest")
	case !errors.Is(err, io.EOF):
		return m, err
	}
	_, err = io.Copy(io.Discard, plain) // age checks that nothing is cut off
	return m, err
}

// CheckFile rejects a file that is not a backup, before anybody is asked for the key.
func CheckFile(path string) error {
	f, err := openSealed(path)
	if err != nil {
		return err
	}
	return f.Close()
}

func openSealed(path string) (*os.File, error) {
	f, err := regularfile.Open(path)
	if err != nil {
		return nil, &FileError{File: path, Problem: "cannot be read", Cause: trimPath(err)}
	}
	start := make([]byte, len(magic))
	if _, err = io.ReadFull(f, start); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil || string(start) != magic {
		_ = f.Close()
		return nil, &FileError{File: path, Problem: "is not a backup of skyctl"}
	}
	return f, nil
}

// trimPath removes the name of the file, which the caller says.
func trimPath(err error) error {
	if path := new(os.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}
