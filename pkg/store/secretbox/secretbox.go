// Package secretbox encrypts secrets with a key that it stores in a file.
package secretbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// KeySize is the length of a secrets key in bytes: AES-256's.
const KeySize = 32

// ReasonUnreadable is the reason of errors about stored data that cannot be read.
const ReasonUnreadable = "Unreadable"

// ErrNoKey says that no secrets key was set.
var ErrNoKey error = noKeyError{}

type noKeyError struct{}

func (noKeyError) Error() string { return "no secrets key is set, so secrets cannot be used" }

// Reason is Unreadable.
func (noKeyError) Reason() string { return ReasonUnreadable }

// Final is true: retrying without a key does not help.
func (noKeyError) Final() bool { return true }

// WrongKeyError says that a secret was encrypted with another key than the box's. The ids identify keys and reveal
// nothing about them.
type WrongKeyError struct {
	Have string
	Need string
}

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("encrypted with another secrets key (id %s; the key in use has id %s): set secretsKeyFile "+
		"to the file of that key", e.Need, e.Have)
}

// Reason is Unreadable.
func (e *WrongKeyError) Reason() string { return ReasonUnreadable }

// Final is true: only the other key helps.
func (e *WrongKeyError) Final() bool { return true }

// DamagedError says that an encrypted secret is malformed, or was not encrypted for its path.
type DamagedError struct{ Reason string }

func (e *DamagedError) Error() string { return e.Reason }

const algorithm = "AES-256-GCM"

// envelope is the stored form of an encrypted secret.
type envelope struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"key_id"`
	Nonce     []byte `json:"nonce"`
	Data      []byte `json:"data"`
}

// Box encrypts secrets. It authenticates each together with its path, so a secret that was copied to another path
// cannot be opened there.
type Box struct {
	keyID string
	aead  cipher.AEAD
	err   error
}

// New is a box for a key. A box without a usable key fails whenever it is used; nil means that there is no key.
func New(key []byte) *Box {
	if key == nil {
		return &Box{err: ErrNoKey}
	}
	if len(key) != KeySize {
		return &Box{err: fmt.Errorf("the secrets key has %d bytes, want %d", len(key), KeySize)}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return &Box{err: fmt.Errorf("the secrets key cannot be used: %w", err)}
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return &Box{err: fmt.Errorf("the secrets key cannot be used: %w", err)}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("skyctl secrets key id"))
	return &Box{keyID: hex.EncodeToString(mac.Sum(nil)[:6]), aead: aead}
}

// Err says why the box cannot be used.
func (b *Box) Err() error { return b.err }

// KeyID is the id of the box's key.
func (b *Box) KeyID() string { return b.keyID }

// Seal encrypts a secret for a path.
func (b *Box) Seal(path string, plain []byte) ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	nonce := make([]byte, b.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("creating a nonce: %w", err)
	}
	return json.Marshal(envelope{Algorithm: algorithm, KeyID: b.keyID, Nonce: nonce,
		Data: b.aead.Seal(nil, nonce, plain, []byte(path))})
}

// Open decrypts the secret of a path. Its error is a *WrongKeyError or a *DamagedError, and contains nothing of the
// secret but the id of its key.
func (b *Box) Open(path string, sealed []byte) ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil || e.Algorithm != algorithm || len(e.Nonce) != b.aead.NonceSize() {
		return nil, &DamagedError{Reason: "unknown format of an encrypted secret"}
	}
	if e.KeyID != b.keyID {
		return nil, &WrongKeyError{Have: b.keyID, Need: e.KeyID}
	}
	plain, err := b.aead.Open(nil, e.Nonce, e.Data, []byte(path))
	if err != nil {
		return nil, &DamagedError{Reason: "the secret was changed, or moved from another path"}
	}
	return plain, nil
}

// KeyIDOf returns the id of the key that an encrypted secret needs, and "" if the secret is damaged.
func KeyIDOf(sealed []byte) string {
	var e envelope
	if json.Unmarshal(sealed, &e) != nil {
		return ""
	}
	return e.KeyID
}
