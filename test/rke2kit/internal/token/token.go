// Package token knows the forms of RKE2's join tokens: a bare password, and the
// full form K10<CA hash>::<user>:<password> which pins the cluster's CA.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// The two users of a token. An agent always presents itself as NodeUser.
const (
	NodeUser   = "node"
	ServerUser = "server"
)

const fullPrefix = "K10"

// Token is a parsed join token. CAHash is empty for a bare password.
type Token struct {
	CAHash   string
	User     string
	Password string
}

// Parse reads a token of either form.
func Parse(s string) (Token, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Token{}, errors.New("token is empty")
	}
	if !strings.HasPrefix(s, fullPrefix) {
		return parseBare(s)
	}
	hash, creds, found := strings.Cut(strings.TrimPrefix(s, fullPrefix), "::")
	if !found {
		// A password may begin with K10 as well.
		return parseBare(s)
	}
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != sha256.Size {
		return Token{}, errors.New("invalid token CA hash length")
	}
	user, password, found := strings.Cut(creds, ":")
	if !found {
		t := Token{CAHash: hash, Password: creds}
		if t.IsBootstrap() {
			return t, nil
		}
	}
	if !found || user == "" || password == "" {
		return Token{}, errors.New("invalid token format: want K10<hash>::<user>:<password>")
	}
	return Token{CAHash: hash, User: user, Password: password}, nil
}

func parseBare(s string) (Token, error) {
	user, password, found := strings.Cut(s, ":")
	if !found {
		return Token{Password: s}, nil
	}
	if user == "" || password == "" {
		return Token{}, errors.New("invalid token format: want <user>:<password>")
	}
	return Token{User: user, Password: password}, nil
}

var bootstrapForm = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

// IsBootstrap tells whether this is a Kubernetes bootstrap token, <id>.<secret>,
// which is sent as a bearer token.
func (t Token) IsBootstrap() bool {
	return t.User == "" && bootstrapForm.MatchString(t.Password)
}

// FormatFull renders the full form, which Parse reads back.
func (t Token) FormatFull() string {
	if t.User == "" {
		return fullPrefix + t.CAHash + "::" + t.Password
	}
	return fullPrefix + t.CAHash + "::" + t.User + ":" + t.Password
}

// HashCA is the hash of a PEM bundle of CA certificates as a full token carries
// it: of the PEM bytes for one certificate, of the root's DER for a chain.
func HashCA(bundle []byte) (string, error) {
	var last *pem.Block
	count := 0
	for rest := bundle; ; {
		block, tail := pem.Decode(rest)
		if block == nil {
			break
		}
		last, rest = block, tail
		count++
	}
	switch count {
	case 0:
		return "", errors.New("no certificate in the CA bundle")
	case 1:
		sum := sha256.Sum256(bundle)
		return hex.EncodeToString(sum[:]), nil
	default:
		sum := sha256.Sum256(last.Bytes)
		return hex.EncodeToString(sum[:]), nil
	}
}

// VerifyCA compares the pinned hash, if there is one, with the bundle's.
func (t Token) VerifyCA(bundle []byte) error {
	if t.CAHash == "" {
		return nil
	}
	got, err := HashCA(bundle)
	if err != nil {
		return err
	}
	if got != t.CAHash {
		return fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", t.CAHash, got)
	}
	return nil
}

// NewPassword returns 128 random bits as 32 hexadecimal digits.
func NewPassword() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: the runtime ends the process instead
	return hex.EncodeToString(b)
}
