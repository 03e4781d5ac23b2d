// Command certificates prints the certificate authorities that Mozilla trusts, as PEM: those of a pinned module, so
// that each build of the image has the same ones. Authorities with constraints that a file cannot express are left out.
package main

import (
	"encoding/pem"
	"fmt"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	if err := writeRoots(); err != nil {
		fmt.Fprintln(os.Stderr, "certificates:", err)
		os.Exit(1)
	}
}

func writeRoots() error {
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		block := &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}
		if err := pem.Encode(os.Stdout, block); err != nil {
			return err
		}
	}
	return nil
}
