package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/simcloud"
)

var (
	long = flag.Bool("long", false, "every activity of every operation with several seeds, faults that last for "+
		"minutes, and many rounds of drift")
	report = flag.String("report", "", "add the results to the table in this page")
	lanes  = flag.String("lanes", "20", "how many faults are tried at a time: each waits more than it works")
)

var (
	// shared are the servers of all lanes that do not stop them; release is the RKE2 release that machines install.
	shared  *devserver.Servers
	release string
	// temp holds each lane's files, because the names of sockets must be short.
	temp string
)

func TestMain(m *testing.M) {
	if settings := os.Getenv(envChild); settings != "" {
		os.Exit(work(settings))
	}
	flag.Parse()
	_ = flag.Set("test.parallel", *lanes)
	os.Exit(withServers(m))
}

func withServers(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if temp, err = os.MkdirTemp("", "faults"); err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	release = filepath.Join(temp, "release")
	if err := errors.Join(os.Mkdir(release, 0o700), simcloud.WriteRelease(release)); err != nil {
		return fail(err)
	}
	shared, err = devserver.StartServers(context.Background(), filepath.Join(temp, "state"), io.Discard)
	if err != nil {
		return fail(err)
	}
	defer shared.Close()
	code := m.Run()
	fmt.Print(results.String())
	if *report != "" {
		if err := results.addTo(*report); err != nil {
			return fail(err)
		}
	}
	return code
}
