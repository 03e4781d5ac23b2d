//go:build nohelm

package main

import (
	"fmt"
	"os"
)

// runHelm says that Helm was left out, which takes a twentieth of the time to compile.
func runHelm([]string) int {
	fmt.Fprintln(os.Stderr, "Error: this kit was built without Helm: build it with build.sh, without --without-helm")
	return 1
}
