package contexts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/personalfile"
	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// File is the file with a person's contexts.
type File struct {
	// Path is empty if the person has no home directory; there are no contexts then.
	Path string
	home string
}

// Locate returns the file of the person whose environment env is: skyctl/contexts.yaml below $XDG_CONFIG_HOME or
// ~/.config. A relative $XDG_CONFIG_HOME is ignored, as the XDG Base Directory Specification says.
func Locate(env func(string) string) File {
	home, base := env("HOME"), env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		if !filepath.IsAbs(home) {
			return File{}
		}
		base = filepath.Join(home, ".config")
	}
	return File{Path: filepath.Join(base, "skyctl", "contexts.yaml"), home: home}
}

// Read reads the contexts. Without a file there are none. Its error is an *InputError if the content is invalid, and
// names the file and the line.
func (f File) Read() (Contexts, error) {
	if f.Path == "" {
		return Contexts{}, nil
	}
	text, err := config.ReadTrustedFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Contexts{}, nil
	case err != nil:
		return Contexts{}, inputErrorf("reading the contexts: %v", err)
	}
	return f.parse(text)
}

func (f File) parse(text []byte) (Contexts, error) {
	all, err := parse(text, f.home)
	if err == nil {
		return all, nil
	}
	where := f.Path
	if wrong := new(lineError); errors.As(err, &wrong) && wrong.line > 0 {
		where += fmt.Sprintf(":%d", wrong.line)
	}
	return Contexts{}, inputErrorf("reading the contexts: %s: %v. Repair the file with an editor; --config-dir and "+
		"$%s work without it", where, err, config.EnvDir)
}

// SetContext adds a context, or gives an existing one another directory, which must be absolute.
func (f File) SetContext(ctx context.Context, name, dir string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return f.change(ctx, func(_ Contexts, d *yamltext.Document) (*yamltext.Document, error) {
		return d.SetText(dir, contextsKey, name)
	})
}

// UseContext makes a context the current one.
func (f File) UseContext(ctx context.Context, name string) error {
	return f.change(ctx, func(all Contexts, d *yamltext.Document) (*yamltext.Document, error) {
		if err := all.RequireContext(name); err != nil {
			return nil, err
		}
		if all.CurrentName() == name {
			return d, nil
		}
		return d.SetText(name, currentKey)
	})
}

// RenameContext gives a context another name. If it is the current one, it stays so.
func (f File) RenameContext(ctx context.Context, name, renamed string) error {
	if err := errors.Join(CheckName(name), CheckName(renamed)); err != nil {
		return err
	}
	return f.change(ctx, func(all Contexts, d *yamltext.Document) (*yamltext.Document, error) {
		if err := all.RequireContext(name); err != nil {
			return nil, err
		}
		if name == renamed {
			return nil, inputErrorf("context %s has this name already: choose another one", name)
		}
		if _, exists := all.FindContext(renamed); exists {
			return nil, inputErrorf("context %s exists already: choose another name, or delete it first: skyctl "+
				"config delete-context %[1]s", renamed)
		}
		d, err := d.RenameKey(renamed, contextsKey, name)
		if err == nil && all.Current == name {
			d, err = d.SetText(renamed, currentKey)
		}
		return d, err
	})
}

// DeleteContexts removes contexts, as far as they exist. If one is the current one, that is the default context
// afterwards. A file without anything else is removed.
func (f File) DeleteContexts(ctx context.Context, names ...string) error {
	err := f.change(ctx, func(all Contexts, d *yamltext.Document) (_ *yamltext.Document, err error) {
		for _, name := range names {
			if d, err = d.RemoveKey(contextsKey, name); err != nil {
				return nil, err
			}
		}
		if slices.Contains(names, all.Current) {
			return d.RemoveKey(currentKey)
		}
		return d, nil
	})
	if _, statErr := os.Stat(f.Path); err == nil && errors.Is(statErr, fs.ErrNotExist) {
		_ = os.Remove(filepath.Dir(f.Path)) // it stays if there is anything else in it
	}
	return err
}

// RequireContext returns an error if there is no context with a name.
func (c Contexts) RequireContext(name string) error {
	if _, exists := c.FindContext(name); exists || name == Default {
		return nil
	}
	return c.newUnknownError("context", name, "To add one: skyctl config set-context NAME --config-dir DIR")
}

// change changes the file under its lock. Comments and everything else in it stay. A new file is only for this user.
func (f File) change(ctx context.Context,
	edit func(Contexts, *yamltext.Document) (*yamltext.Document, error)) error {
	if f.Path == "" {
		return inputErrorf("there is no place for contexts: set $HOME, or $XDG_CONFIG_HOME to an absolute path")
	}
	if _, err := f.Read(); err != nil { // this also refuses a file that other users can write
		return err
	}
	_, err := personalfile.Apply(ctx, personalfile.Edit{Path: f.Path, Lock: f.acquireLock,
		HasEntries: func([]byte) bool { return true }, // all of it is skyctl's: no copy is kept
		Change: func(text, _ []byte) ([]byte, error) {
			all, err := f.parse(text)
			if err != nil {
				return nil, err
			}
			d, err := yamltext.Parse(text)
			if err == nil {
				d, err = edit(all, d)
			}
			if form := new(yamltext.FormError); errors.As(err, &form) {
				return nil, inputErrorf("changing %s: %v; change it with an editor", f.Path, form)
			}
			if err != nil || f.isEmpty(d) {
				return nil, err
			}
			return d.Bytes(), nil
		}})
	if wrong := new(InputError); errors.As(err, &wrong) {
		return wrong
	}
	return err
}

// isEmpty reports whether a text has no contexts, no current one and no comments.
func (f File) isEmpty(d *yamltext.Document) bool {
	all, err := parse(d.Bytes(), f.home)
	return err == nil && all.CurrentName() == Default && len(all.Named) == 0 && !d.HasComments()
}

func (f File) acquireLock(ctx context.Context) (release func(), err error) {
	release, err = personalfile.AcquireLockFile(ctx, f.Path)
	if held := new(personalfile.LockError); errors.As(err, &held) {
		return nil, fmt.Errorf("another skyctl has held the lock %s for %s; if none is running, remove it", held.Path,
			held.Age.Round(time.Second))
	}
	return release, err
}
