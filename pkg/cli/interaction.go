package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// showProgress passes the progress of an operation to the display.
func showProgress(p *terminal.ProgressDisplay) func(client.Progress) {
	return func(n client.Progress) { p.ShowUpdate(n.Cluster, n.Notice) }
}

// slowNotes prints each note about a slow server once, where the command shows its progress.
type slowNotes struct {
	mu   sync.Mutex
	said map[string]bool
	on   func(string) // nil: stderr
}

func (n *slowNotes) show(stderr io.Writer, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[text] {
		return
	}
	if n.said == nil {
		n.said = map[string]bool{}
	}
	n.said[text] = true
	if n.on != nil {
		n.on(text)
		return
	}
	fmt.Fprintln(stderr, "Note: "+printable.Line(text))
}

// showOn makes a display show the notes; nil ends that.
func (n *slowNotes) showOn(display func(string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.on = display
}

// runWithSpinner shows a spinner while work runs. An error replaces the spinner, and is not printed again at the end,
// unless -o json asks for errors as JSON.
func (a *app) runWithSpinner(title string, quiet bool, work func(*terminal.Spinner) error) error {
	s := terminal.StartSpinner(a.env.Err, title, quiet || a.quiet || a.hasStructuredOutput())
	a.slow.showOn(func(text string) { s.PrintNote("Note: " + text) })
	err := work(s)
	a.slow.showOn(nil)
	switch {
	case err == nil:
		s.ReportSuccess()
		return nil
	case exitCode(err) == ExitInterrupted, errors.Is(err, errCreateRuns):
		s.ClearLine()
		return err
	case a.wantsJSONErrors():
		s.ClearLine()
		return err // it is printed as JSON at the end
	}
	s.ReportFailure(err, damageRemedies(err)...)
	return &reportedError{err}
}

// requireConfirmation asks for a yes on the terminal. Its error says that nothing was done.
func (a *app) requireConfirmation(ctx context.Context, question, done string) error {
	return a.requireAnswer(ctx, question+" [y/N]", []string{"y", "yes"}, done)
}

// requireTyped asks for a text on the terminal. Its error says that nothing was done.
func (a *app) requireTyped(ctx context.Context, question, text, done string) error {
	return a.requireAnswer(ctx, question, []string{text}, done)
}

func (a *app) requireAnswer(ctx context.Context, question string, accepted []string, done string) error {
	if where := a.describeContext(); where != "" {
		fmt.Fprintln(a.env.Err, "This is about "+where+".")
	}
	fmt.Fprint(a.env.Err, question+" ")
	answer := make(chan string, 1)
	go func() { // it can outlive this function, until a line is read or the process ends
		text, _ := bufio.NewReader(a.env.In).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(text))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.env.Err)
		return &interruptedError{hint: "Nothing was " + done + "."}
	case text := <-answer:
		if slices.Contains(accepted, text) {
			return nil
		}
		return errors.New("cancelled: nothing was " + done)
	}
}

// printFailureLog prints the log lines of a failure.
func printFailureLog(w io.Writer, f *client.OperationFailedError) {
	if f.Failure == nil {
		return
	}
	for _, l := range render.LogLines(f.Failure.Log) {
		fmt.Fprintln(w, "  "+l)
	}
}

func formatFailureHints(name, operation string) string {
	s := fmt.Sprintf("For details: skyctl describe cluster %s\nTo resume, run the same command again; to remove "+
		"the cluster: skyctl delete cluster %s\n", name, name)
	if operation != "" {
		s += "All steps: " + operation + "\n"
	}
	return s
}
