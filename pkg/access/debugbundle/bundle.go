// Package debugbundle collects in one archive what explains the state of a cluster: its object, events and operations,
// the logs of its machines, and what Kubernetes says. Each text is without the secrets that this process knows (package
// redact). What cannot be had is in the bundle's report, with the reason, and stops nothing else.
package debugbundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/redact"
)

const (
	// maxPart bounds one file of the bundle and maxBundle all of them, in bytes before compression.
	maxPart   = 2 << 20
	maxBundle = 128 << 20
	// partTimeout bounds the collection of one part.
	partTimeout = 2 * time.Minute
	// parallelParts bounds the parts that are collected at the same time.
	parallelParts = 8
)

// Part is one file of a bundle. Read returns its text; with an error, the text that there is counts too.
type Part struct {
	Name string
	Read func(context.Context) ([]byte, error)
}

// Missing is a part that could not be collected, or not all of it.
type Missing struct {
	Name   string
	Reason string
}

// Write collects the parts, writes them as a tar.gz archive, and returns what is missing. dir is the name of the
// directory that all files of the archive are in. The error is that of w, or ctx's cause.
func Write(ctx context.Context, w io.Writer, dir string, now time.Time, parts []Part) ([]Missing, error) {
	zip := gzip.NewWriter(w)
	a := &archive{tar: tar.NewWriter(zip), dir: dir, now: now}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelParts)
	for _, p := range parts {
		group.Go(func() error {
			text, err := readPart(groupCtx, p)
			return a.addPart(p.Name, text, err)
		})
	}
	err := group.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = a.writeFile("REPORT.txt", a.describe(now))
	}
	return a.missing, errors.Join(err, a.tar.Close(), zip.Close())
}

func readPart(ctx context.Context, p Part) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, partTimeout, fmt.Errorf("no answer within %s", partTimeout))
	defer cancel()
	return p.Read(ctx)
}

// archive is a bundle that is being written.
type archive struct {
	dir string
	now time.Time

	mu      sync.Mutex
	tar     *tar.Writer
	size    int
	missing []Missing
}

// addPart adds the text of a part without secrets, cut to its end, or notes why there is none.
func (a *archive) addPart(name string, text []byte, failed error) error {
	cut := len(text) > maxPart
	clean := []byte(redact.Text(string(cutToEnd(text, maxPart))))
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case failed != nil:
		a.missing = append(a.missing, Missing{name, redact.Text(failed.Error())})
	case cut:
		a.missing = append(a.missing, Missing{name,
			fmt.Sprintf("it has more than %d MiB; its end is here", maxPart>>20)})
	}
	if len(clean) == 0 {
		return nil
	}
	if a.size += len(clean); a.size > maxBundle {
		a.missing = append(a.missing, Missing{name, fmt.Sprintf("the bundle has %d MiB already", maxBundle>>20)})
		return nil
	}
	return a.writeFile(name, clean)
}

func (a *archive) writeFile(name string, text []byte) error {
	err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: a.dir + "/" + name, Mode: 0o600,
		Size: int64(len(text)), ModTime: a.now})
	if err == nil {
		_, err = a.tar.Write(text)
	}
	return err
}

func (a *archive) describe(now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Collected %s.\nSecrets that skyctl knows are replaced with [hidden]. Look through the files "+
		"before "+
		"you give them to others.\n\n", now.UTC().Format(time.RFC3339))
	if len(a.missing) == 0 {
		b.WriteString("Nothing is missing.\n")
		return b.Bytes()
	}
	b.WriteString("Missing:\n")
	slices.SortFunc(a.missing, func(x, y Missing) int { return cmp.Compare(x.Name, y.Name) })
	for _, m := range a.missing {
		fmt.Fprintf(&b, "%s: %s\n", m.Name, m.Reason)
	}
	return b.Bytes()
}

// cutToEnd returns the end of a text, from the beginning of a line: a secret that is cut off could not be recognized.
func cutToEnd(text []byte, size int) []byte {
	over := len(text) - size
	if over <= 0 {
		return text
	}
	_, rest, _ := bytes.Cut(text[over:], []byte("\n"))
	return rest
}
