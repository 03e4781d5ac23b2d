package pki

import (
	"errors"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
)

// writePair puts the key first: killed in between, key and certificate don't match, which Ensure sees and puts right.
func writePair(p Pair, certPEM, keyPEM []byte) error {
	return errors.Join(atomicfile.Write(p.Key, keyPEM), atomicfile.Write(p.Cert, certPEM))
}
