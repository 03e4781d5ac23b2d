// Command mkrelease packs built binaries into a release directory. build.sh calls it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/release"
)

func main() {
	var in release.Input
	flag.StringVar(&in.Binaries, "binaries", "", "directory with the built programs")
	flag.StringVar(&in.Files, "files", "files", "directory with units, scripts and charts")
	flag.StringVar(&in.Arch, "arch", "amd64", "architecture of the programs")
	flag.StringVar(&in.Version, "version", "", "version of the release")
	out := flag.String("out", "", "directory to write to")
	flag.Parse()
	if err := release.Write(in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}
