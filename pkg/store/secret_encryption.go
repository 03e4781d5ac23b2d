package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// KeySize is the length of a secrets key in bytes: AES-256's.
const KeySize = 32

// WrongKeyError says that a secret was encrypted with another key than the one at hand. Key ids tell keys apart and
// give nothing away of them.
type WrongKeyError struct {
	Have string
	Need string
}

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("it was encrypted with another secrets key (id %s; the key in use has id %s): set "+
		"secretsKeyFile to the key it was written with", e.Need, e.Have)
}

// reasonUnreadable is the reason of errors about what etcd holds but this Store can't read.
const reasonUnreadable = "Unreadable"

// Reason is Unreadable.
func (e *WrongKeyError) Reason() string { return reasonUnreadable }

// Final is true: only the other key helps.
func (e *WrongKeyError) Final() bool { return true }

// ErrNoKey says that no secrets key was given to the Store.
var ErrNoKey error = noKeyError{}

type noKeyError struct{}

func (noKeyError) Error() string { return "no secrets key is set, so secrets can't be used" }

// Reason is Unreadable.
func (noKeyError) Reason() string { return reasonUnreadable }

// Final is true: only a key helps.
func (noKeyError) Final() bool { return true }

const algorithm = "AES-256-GCM"

// envelope is a secret as etcd holds it.
type envelope struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"key_id"`
	Nonce     []byte `json:"nonce"`
	Data      []byte `json:"data"`
}

// sealer encrypts secrets. Their whole path in etcd is authenticated with them: one that was copied to another
// cluster's path doesn't open.
type sealer struct {
	id   string
	aead cipher.AEAD
	err  error
}

func newSealer(key []byte) *sealer {
	if key == nil {
		return &sealer{err: ErrNoKey}
	}
	if len(key) != KeySize {
		return &sealer{err: fmt.Errorf("the secrets key has %d bytes, %d are needed", len(key), KeySize)}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return &sealer{err: fmt.Errorf("the secrets key can't be used: %w", err)}
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return &sealer{err: fmt.Errorf("the secrets key can't be used: %w", err)}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("skyctl secrets key id"))
	return &sealer{id: hex.EncodeToString(mac.Sum(nil)[:6]), aead: aead}
}

func (s *sealer) sealSecret(path string, plain []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	return json.Marshal(envelope{Algorithm: algorithm, KeyID: s.id, Nonce: nonce,
		Data: s.aead.Seal(nil, nonce, plain, []byte(path))})
}

// openSecret never says anything of what it read but the key's id: not in its errors either.
func (s *sealer) openSecret(path string, sealed []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil || e.Algorithm != algorithm || len(e.Nonce) != s.aead.NonceSize() {
		return nil, &CorruptError{Keys: []string{path},
			Cause: errors.New("no encrypted secret of a form that this program knows")}
	}
	if e.KeyID != s.id {
		return nil, &WrongKeyError{Have: s.id, Need: e.KeyID}
	}
	plain, err := s.aead.Open(nil, e.Nonce, e.Data, []byte(path))
	if err != nil {
		return nil, &CorruptError{Keys: []string{path},
			Cause: errors.New("the secret was altered, or moved there from another place")}
	}
	return plain, nil
}
