// Package bootstrap keeps a cluster's authorities and passwords in its datastore, sealed with the server token, so that
// a snapshot contains all that a new machine needs except that token.
package bootstrap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
)

// KeyPrefix is where the data is in the datastore.
const KeyPrefix = "/bootstrap"

// ErrOtherToken says that the data is there, but under another token.
var ErrOtherToken = errors.New("bootstrap data already found and encrypted with different token")

// File is one file and when it was written.
type File struct {
	Timestamp time.Time
	Content   []byte
}

// Data are the files by their names in RKE2's data.
type Data map[string]File

// Paths are the places of the files on the disk by the same names.
type Paths map[string]string

// Read collects the files that exist.
func (p Paths) Read() (Data, error) {
	data := Data{}
	for name, path := range p {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read bootstrap data: %w", err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read bootstrap data: %w", err)
		}
		data[name] = File{Timestamp: info.ModTime(), Content: content}
	}
	return data, nil
}

// Write replaces the files by what is in data. They get the times of the data: a later comparison takes them for
// unchanged.
func (p Paths) Write(data Data) error {
	for name, file := range data {
		path := p[name]
		if path == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write bootstrap data: %w", err)
		}
		if err := os.WriteFile(path, file.Content, 0o600); err != nil {
			return fmt.Errorf("write bootstrap data: %w", err)
		}
		if err := os.Chtimes(path, file.Timestamp, file.Timestamp); err != nil {
			return fmt.Errorf("write bootstrap data: %w", err)
		}
	}
	return nil
}

// Key is the key of the data that is sealed with this password.
func Key(password string) string { return KeyPrefix + "/" + HashPassword(password) }

// HashPassword is the part of a password's hash that RKE2 shows: in the key, and on snapshots.
func HashPassword(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])[:12]
}

// Find returns the data sealed with password among the keys below KeyPrefix; nil where there are none at all. It
// returns ErrOtherToken if all are under other passwords.
func Find(keys []etcd.KeyValue, password string) (Data, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	for _, kv := range keys {
		if string(kv.Key) == Key(password) {
			return Open(kv.Value, password)
		}
	}
	return nil, ErrOtherToken
}

const (
	saltSize   = 8
	iterations = 4096
	keySize    = 32
)

// Seal encrypts the data: a salt, a colon, then the nonce and the ciphertext in base64.
func Seal(data Data, password string) ([]byte, error) {
	plain, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, saltSize)
	_, _ = rand.Read(raw)
	salt := hex.EncodeToString(raw)
	aead, err := newAEAD(password, salt)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	sealed := aead.Seal(nonce, nonce, plain, nil)
	return []byte(salt + ":" + base64.StdEncoding.EncodeToString(sealed)), nil
}

// Open is the reverse of Seal.
func Open(sealed []byte, password string) (Data, error) {
	salt, text, found := strings.Cut(string(sealed), ":")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !found || err != nil {
		return nil, errors.New("bootstrap data is not of the form salt:base64")
	}
	aead, err := newAEAD(password, salt)
	if err != nil {
		return nil, err
	}
	if len(raw) < aead.NonceSize() {
		return nil, errors.New("bootstrap data is too short")
	}
	plain, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("decrypt bootstrap data: %w", err)
	}
	data := Data{}
	return data, json.Unmarshal(plain, &data)
}

func newAEAD(password, salt string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha1.New, password, []byte(salt), iterations, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
