package pki

import (
	"errors"

	"github.com/sky-shift/skyctl/pkg/private"
)

// write puts the key first: killed in between, key and certificate don't match, which Ensure sees and puts right.
func write(p Pair, certPEM, keyPEM []byte) error {
	return errors.Join(private.Write(p.Key, keyPEM), private.Write(p.Cert, certPEM))
}
