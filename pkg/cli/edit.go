package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newEditCommand() *cobra.Command {
	return newCommandGroup("edit", "Change a cluster in an editor",
		"Changes a cluster in an editor: see skyctl edit cluster --help.",
		"  skyctl edit cluster dev", a.newEditClusterCommand())
}

func (a *app) newEditClusterCommand() *cobra.Command {
	flags := &changeFlags{}
	var output *outputFlags
	cmd := &cobra.Command{
		Use:     "cluster NAME",
		Aliases: listAliases("cluster"),
		Short:   "Change a cluster in an editor",
		Long: `Opens the labels and the spec of a cluster in an editor, as a file that skyctl apply takes, and changes
the cluster to what you save. The editor is $KUBE_EDITOR, $VISUAL, $EDITOR, or vi.

A line that you remove sets its field back to the default. If you leave the text as it is, nothing
is changed. If the text has mistakes, the editor opens again with the errors at the top; leave it
then without a change to give up. If the cluster cannot be changed, your text is kept in a file.

edit asks before it ends or replaces machines. What you change here stays when a file without these
fields is applied; skyctl diff shows where a file says otherwise.`,
		Example: `  skyctl edit cluster dev

  # with another editor; wait until the cluster is changed
  KUBE_EDITOR="code --wait" skyctl edit cluster dev --wait`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runEdit(cmd.Context(), args[0], *flags, output)
		},
	}
	output = addChangedOutputFlags(cmd)
	flags.bindFlags(cmd, "the cluster is changed")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask before machines are ended or replaced")
	return cmd
}

// clusterEdit is one run of edit.
type clusterEdit struct {
	*app
	ops *client.Client
	// before is the cluster with which the person began, began its document, and beganText its text.
	before    *api.Cluster
	began     manifest.Document
	beganText []byte
	name      string
	// path is the file that the editor changes.
	path string
}

func (a *app) runEdit(ctx context.Context, name string, flags changeFlags, output *outputFlags) error {
	if err := flags.timeout.refuseWithoutWait(flags.wait); err != nil {
		return err
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	e := &clusterEdit{app: a, ops: ops, name: name}
	if err := e.readCluster(ctx); err != nil {
		return err
	}
	plan, err := e.editUntilValid(ctx)
	switch {
	case err != nil:
		return err
	case plan == nil: // nothing was changed
		return a.writeChanged(ctx, ops, output, changedClusters{clusters: []*api.Cluster{e.before}})
	}
	var results []client.ApplyResult
	err = a.runWithSpinner("Changing cluster "+name, false, func(s *terminal.Spinner) error {
		s.KeepLine()
		results, err = a.applyPlans(ctx, ops, []client.ApplyPlan{*plan}, flags, nil)
		return err
	})
	if err != nil {
		return e.keepText(err)
	}
	e.removeText()
	edited := changedClusters{waited: flags.wait}
	for _, r := range results {
		edited.clusters = append(edited.clusters, r.Cluster)
	}
	if flags.wait {
		if edited.clusters, err = a.awaitApplied(ctx, ops, results, flags); err != nil {
			return err
		}
	}
	return a.writeChanged(ctx, ops, output, edited)
}

// readCluster reads the cluster and turns it into text.
func (e *clusterEdit) readCluster(ctx context.Context) error {
	s, err := e.ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	c, err := s.ReadCluster(ctx, e.name)
	if err != nil {
		return err
	}
	if why := c.RefuseSpecChange(); why != "" {
		return &store.UnchangeableError{Cluster: e.name, Phase: c.Status.Phase, Why: why}
	}
	e.before = c
	if e.beganText, err = manifest.Export(c); err != nil {
		return err
	}
	e.began, err = parseOneDocument("cluster "+e.name, e.beganText)
	return err
}

// editUntilValid opens the editor until the text is valid, and returns what it asks for; nil if it is nothing.
func (e *clusterEdit) editUntilValid(ctx context.Context) (*client.ApplyPlan, error) {
	body, header, invalid := e.beganText, e.newHeader(nil), error(nil)
	for {
		saved, err := e.openEditor(header, body)
		switch {
		case err != nil && bytes.Equal(body, e.beganText) && e.isTextAsBegun():
			e.removeText()
			return nil, err
		case err != nil:
			return nil, e.keepText(err)
		}
		switch edited := dropHeader(saved); {
		case bytes.Equal(edited, e.beganText), len(bytes.TrimSpace(edited)) == 0:
			return nil, e.leaveUnchanged()
		case invalid != nil && bytes.Equal(edited, body):
			return nil, e.keepText(invalid)
		default:
			body = edited
		}
		plan, err := e.planText(ctx, body, header)
		switch {
		case err == nil && plan.Kind == client.ApplySame:
			return nil, e.leaveUnchanged()
		case err == nil:
			return plan, nil
		case exitCode(err) != ExitUsage:
			return nil, e.keepText(err)
		}
		invalid = err
		header = e.newHeader(err)
		if _, err = e.planText(ctx, body, header); err != nil { // with the lines as the editor counts them now
			invalid, header = err, e.newHeader(err)
		}
	}
}

// planText plans what a text below a header asks for.
func (e *clusterEdit) planText(ctx context.Context, body []byte, header string) (*client.ApplyPlan, error) {
	above := bytes.Repeat([]byte("\n"), strings.Count(header, "\n"))
	doc, err := parseOneDocument("the text", append(above, body...))
	if err == nil && doc.Name != e.name {
		err = doc.LocateErrors(&api.FieldError{Field: "metadata.name", Value: doc.Name,
			Want: e.name + ": a cluster keeps its name"})
	}
	if err != nil {
		return nil, err
	}
	s := terminal.StartSpinner(e.env.Err, "Checking the change", e.quiet || !terminal.IsTerminal(e.env.Err))
	defer s.ClearLine()
	plans, err := e.planDocuments(ctx, e.ops, s, []manifest.Document{doc}, e.began.LastApplied())
	if len(plans) == 1 && plans[0].Before != nil &&
		plans[0].Before.Metadata.Generation != e.before.Metadata.Generation {
		return nil, &client.ApplyConflictError{Cluster: e.name,
			Meanwhile: api.CompareClusters(e.before, plans[0].Before),
			Cause: &store.SpecConflictError{Cluster: e.name, Seen: e.before.Metadata.Generation,
				Current: plans[0].Before.Metadata.Generation}}
	}
	if err != nil {
		return nil, err
	}
	return &plans[0], nil
}

func parseOneDocument(source string, data []byte) (manifest.Document, error) {
	docs, err := manifest.Parse(source, data)
	switch {
	case err != nil:
		return manifest.Document{}, err
	case len(docs) != 1:
		return manifest.Document{}, usageErrorf("%s has %s; it must have one", source,
			render.FormatCount(len(docs), "cluster"))
	}
	return docs[0], nil
}

// newHeader is what stands above the text: how to use it, and the errors.
func (e *clusterEdit) newHeader(invalid error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Cluster %s. The lines at the top that begin with # are left out. To give up, leave the editor\n"+
		"# without a change, or delete everything.\n", e.name)
	if invalid != nil {
		b.WriteString("#\n# The text has mistakes; nothing was changed:\n")
		for l := range strings.Lines(invalid.Error()) {
			fmt.Fprintf(&b, "#   %s\n", printable.Line(strings.TrimRight(l, "\n")))
		}
	}
	return b.String()
}

// dropHeader removes the comments at the top of a text.
func dropHeader(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("#")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}

// openEditor writes the text to a file that only the person can read, and returns what the editor has made of it.
func (e *clusterEdit) openEditor(header string, body []byte) ([]byte, error) {
	if e.path == "" {
		f, err := os.CreateTemp("", "skyctl-edit-"+e.name+"-*.yaml") // its mode is 0600
		if err != nil {
			return nil, err
		}
		e.path = f.Name()
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(e.path, append([]byte(header), body...), 0o600); err != nil {
		return nil, err
	}
	editor := cmp.Or(e.env.Getenv("KUBE_EDITOR"), e.env.Getenv("VISUAL"), e.env.Getenv("EDITOR"), "vi")
	// The shell reads the variable, which may have options; the path is an argument. Ctrl-C is for the editor.
	run := exec.Command("sh", "-c", editor+` "$1"`, "sh", e.path)
	run.Stdin, run.Stdout, run.Stderr = e.env.In, withoutSanitizing(e.env.Out), withoutSanitizing(e.env.Err)
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("the editor failed (%s): %w; to use another one, set KUBE_EDITOR", editor, err)
	}
	return regularfile.Read(e.path, regularfile.SmallFile)
}

// withoutSanitizing is the terminal itself, on which an editor draws.
func withoutSanitizing(w io.Writer) io.Writer {
	if s, ok := w.(*terminal.SanitizingWriter); ok {
		return s.To
	}
	return w
}

func (e *clusterEdit) leaveUnchanged() error {
	e.removeText()
	return e.printResult("cluster/%s not changed\n", e.name)
}

// isTextAsBegun says whether the person has written nothing yet.
func (e *clusterEdit) isTextAsBegun() bool {
	saved, err := regularfile.Read(e.path, regularfile.SmallFile)
	return err == nil && bytes.Equal(dropHeader(saved), e.beganText)
}

func (e *clusterEdit) removeText() { _ = os.Remove(e.path) } // a file that is left has no secrets

// keepText says where the text of a failed edit is.
func (e *clusterEdit) keepText(err error) error {
	if e.path != "" {
		fmt.Fprintf(e.env.Err, "Your text is kept in %s.\n", e.path)
	}
	return err
}
