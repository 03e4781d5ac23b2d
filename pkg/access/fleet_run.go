package access

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
)

const (
	// maxKeptOutput bounds each stream that a Result keeps, in bytes.
	maxKeptOutput = 1 << 20
	// maxPrefixedLine bounds the part of a line that waits for its end, in bytes.
	maxPrefixedLine = 64 << 10
)

// FleetRun is one command on several machines.
type FleetRun struct {
	Targets []Target
	// Parallel bounds the machines at the same time.
	Parallel int
	// Timeout bounds the command on each machine, with the login; TimeoutError is the cause then.
	Timeout      time.Duration
	TimeoutError error
	AsRoot       bool
	Line         string
	// Stdout and Stderr get the output as it arrives; with Prefix in whole lines, each behind its machine's name. Only
	// a run on one machine can do without. If they are nil, the results keep the output.
	Stdout, Stderr io.Writer
	Prefix         bool
}

// Result is how a command ended on one machine.
type Result struct {
	Machine string `json:"machine"`
	Node    string `json:"node,omitempty"`
	// ExitCode is the exit code of the command; -1 if it did not end by itself, and Error says why.
	ExitCode int    `json:"exit_code"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	// Truncated: the output has more than was kept, and only its end is here.
	Truncated bool    `json:"truncated,omitempty"`
	Error     string  `json:"error,omitempty"`
	Seconds   float64 `json:"seconds"`
	Err       error   `json:"-"`
}

// ResultList is the JSON form of the results of a command.
type ResultList struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Items      []Result `json:"items"`
}

// NewResultList returns a ResultList of results.
func NewResultList(results []Result) ResultList {
	return ResultList{api.APIVersion, "CommandResultList", append([]Result{}, results...)}
}

// RunAll runs the command on all machines, and returns the results in the order of Targets.
func (f *FleetRun) RunAll(ctx context.Context, login *Login) []Result {
	results := make([]Result, len(f.Targets))
	var group errgroup.Group
	group.SetLimit(f.Parallel)
	var out, errs sync.Mutex
	for i, t := range f.Targets {
		group.Go(func() error {
			results[i] = f.runOne(ctx, login, t, &out, &errs)
			return nil
		})
	}
	_ = group.Wait() // no function fails
	return results
}

func (f *FleetRun) runOne(ctx context.Context, login *Login, t Target, outLock, errLock *sync.Mutex) Result {
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, f.Timeout, f.TimeoutError)
	defer cancel()
	r := Result{Machine: t.Machine.Name, Node: t.Machine.NodeName, ExitCode: -1}
	var kept, keptErr outputEnd
	command := remote.UserCommand{Line: f.Line, AsRoot: f.AsRoot, Stdout: &kept, Stderr: &keptErr}
	switch {
	case f.Stdout != nil && !f.Prefix:
		command.Stdout, command.Stderr = f.Stdout, f.Stderr
	case f.Stdout != nil:
		out, errs := newLineWriter(f.Stdout, outLock, t), newLineWriter(f.Stderr, errLock, t)
		defer out.flushLine()
		defer errs.flushLine()
		command.Stdout, command.Stderr = out, errs
	}
	h, err := login.Connect(ctx, t)
	if err == nil {
		r.ExitCode, err = h.RunUserCommand(ctx, command)
	}
	if err != nil {
		r.ExitCode, r.Err, r.Error = -1, err, redact.Text(err.Error())
	}
	r.Stdout, r.Stderr, r.Truncated = kept.String(), keptErr.String(), kept.cut || keptErr.cut
	r.Seconds = time.Since(begin).Round(time.Millisecond).Seconds()
	return r
}

// DescribeFailures names the machines on which a command failed, and how.
func DescribeFailures(results []Result) (failed []string) {
	for _, r := range results {
		switch {
		case r.Err != nil:
			failed = append(failed, fmt.Sprintf("%s (%s)", r.Machine, printable.Line(r.Error)))
		case r.ExitCode != 0:
			failed = append(failed, fmt.Sprintf("%s (exit code %d)", r.Machine, r.ExitCode))
		}
	}
	return failed
}

// outputEnd keeps the end of an output.
type outputEnd struct {
	b   []byte
	cut bool
}

func (o *outputEnd) Write(p []byte) (int, error) {
	o.b = append(o.b, p...)
	if over := len(o.b) - maxKeptOutput; over > 0 {
		o.b, o.cut = append(o.b[:0], o.b[over:]...), true
	}
	return len(p), nil
}

func (o *outputEnd) String() string { return string(bytes.ToValidUTF8(o.b, []byte("\uFFFD"))) }

func newLineWriter(to io.Writer, lock *sync.Mutex, t Target) *lineWriter {
	return &lineWriter{to: to, lock: lock, prefix: t.Machine.Name + ": "}
}

// lineWriter passes on whole lines, so that those of several machines do not mix.
type lineWriter struct {
	to     io.Writer
	lock   *sync.Mutex // of to
	prefix string
	part   []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.part = append(w.part, p...)
			if len(w.part) > maxPrefixedLine {
				return n, w.writeLine()
			}
			return n, nil
		}
		w.part = append(w.part, p[:i]...)
		if err := w.writeLine(); err != nil {
			return 0, err
		}
		p = p[i+1:]
	}
}

func (w *lineWriter) writeLine() error {
	w.lock.Lock()
	defer w.lock.Unlock()
	line := w.prefix + string(bytes.TrimSuffix(w.part, []byte("\r"))) + "\n"
	w.part = w.part[:0]
	_, err := io.WriteString(w.to, line)
	return err
}

// flushLine passes on a last line without a line break.
func (w *lineWriter) flushLine() {
	if len(w.part) > 0 {
		_ = w.writeLine() // an output that is closed is no longer read
	}
}
