package pki

import (
	"errors"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
)

// writePair writes the key first. If it is interrupted, key and certificate do not match and the next Ensure call
// replaces both.
func writePair(p Pair, certPEM, keyPEM []byte) error {
	return errors.Join(atomicfile.Write(p.Key, keyPEM), atomicfile.Write(p.Cert, certPEM))
}
