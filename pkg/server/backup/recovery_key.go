package backup

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// RecoveryKey opens backups. Only its public part, the recipient, is kept in the state.
type RecoveryKey struct{ identity *age.X25519Identity }

// NewRecoveryKey makes a key.
func NewRecoveryKey() (RecoveryKey, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("making a recovery key: %w", err)
	}
	return RecoveryKey{identity}, nil
}

// Recipient is the public part.
func (k RecoveryKey) Recipient() string { return k.identity.Recipient().String() }

// Secret is the key as people keep it: AGE-SECRET-KEY-1…
func (k RecoveryKey) Secret() string { return k.identity.String() }

// WriteFile creates a file with the key, which only its owner can read. If it exists, the error wraps fs.ErrExist.
func (k RecoveryKey) WriteFile(path string, now time.Time) error {
	return atomicfile.Create(path, k.formatFile(now))
}

// formatFile is the key as a file that age reads too.
func (k RecoveryKey) formatFile(now time.Time) []byte {
	return fmt.Appendf(nil, "# recovery key of skyctl backups, created %s\n# public key: %s\n%s\n",
		now.UTC().Format(time.RFC3339), k.Recipient(), k.Secret())
}

// ParseRecoveryKey reads a key as a person types it, or the content of a file with it. No error quotes it.
func ParseRecoveryKey(text []byte) (RecoveryKey, error) {
	const want = "not a recovery key: it is one line that starts with AGE-SECRET-KEY-1"
	var found []byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if found != nil {
			return RecoveryKey{}, errors.New(want)
		}
		found = line
	}
	identity, err := age.ParseX25519Identity(string(found))
	if err != nil { // its text can quote the key
		return RecoveryKey{}, errors.New(want)
	}
	return RecoveryKey{identity}, nil
}

// ReadRecoveryKey reads the file of a recovery key.
func ReadRecoveryKey(path string) (RecoveryKey, error) {
	text, err := regularfile.Read(path, regularfile.SmallFile)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("reading the recovery key: %w", err)
	}
	key, err := ParseRecoveryKey(text)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("%s is %w", path, err)
	}
	return key, nil
}

// CheckRecipient rejects what is not the public part of a recovery key.
func CheckRecipient(text string) error {
	if _, err := age.ParseX25519Recipient(text); err != nil {
		return errors.New("not a recipient: it starts with age1, as age-keygen prints it")
	}
	return nil
}
