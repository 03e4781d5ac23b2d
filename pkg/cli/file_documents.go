package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/inputfile"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

// fileFlags are the flags of commands that read cluster files.
type fileFlags struct {
	names     []string
	recursive bool
}

func (f *fileFlags) bindFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.names, "filename", "f", nil, "file, directory, - (standard input) or https:// "+
		"address with clusters; can be repeated (required)")
	cmd.Flags().BoolVarP(&f.recursive, "recursive", "R", false, "read the directories below a directory too")
	panicOnError(cmd.MarkFlagFilename("filename", "yaml", "yml", "json"))
}

// describe names the files for people.
func (f *fileFlags) describe() string {
	switch {
	case len(f.names) != 1:
		return render.FormatCount(len(f.names), "file")
	case f.names[0] == "-":
		return "standard input"
	}
	return inputfile.DisplayName(f.names[0])
}

// readDocuments reads and checks the files. Its error names every mistake in all of them, and is bad input.
func (a *app) readDocuments(ctx context.Context, f *fileFlags) ([]manifest.Document, error) {
	if len(f.names) == 0 {
		return nil, usageErrorf("-f is needed: a file, a directory, - or an https:// address with clusters")
	}
	files, err := inputfile.Source{Stdin: a.env.In, Recursive: f.recursive}.Read(ctx, f.names)
	if err != nil {
		return nil, toInputError(ctx, err)
	}
	var all []manifest.Document
	var errs []error
	for _, file := range files {
		docs, err := manifest.Parse(file.Name, file.Data)
		all, errs = append(all, docs...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, usageErrorf("%s has no clusters", f.describe())
	}
	return all, nil
}

// toInputError is the error of a file that cannot be read.
func toInputError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &usageError{fmt.Errorf("-f: %w", err)}
}
