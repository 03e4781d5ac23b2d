package kubeconfig

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/filelock"
	"github.com/sky-shift/skyctl/pkg/personalfile"
	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// allowedContexts are the contexts that SkyPilot uses. Without them it uses the current one only
// (existing_allowed_contexts in sky/clouds/kubernetes.py, 0.14.1).
var allowedContexts = []string{"kubernetes", "allowed_contexts"}

// allowInSkyPilot lets SkyPilot use a context. current is the current one, which stays allowed.
func allowInSkyPilot(ctx context.Context, path, name, current string) (allowed bool, named []string,
	err error) {
	_, err = personalfile.Apply(ctx, personalfile.Edit{Path: path, HasEntries: hasAllowedContexts,
		Lock: lockSkyPilotConfig(path),
		Change: func(text, _ []byte) ([]byte, error) {
			var changed []byte
			var err error
			changed, named, allowed, err = AllowContext(text, name, current)
			return changed, err
		}})
	return allowed && err == nil, named, err
}

// AllowContext adds a context to those that SkyPilot uses, in the text of its settings. If there are none, SkyPilot has
// used the current one alone, which stays allowed. named are the contexts that the settings name then. allowed is false
// if SkyPilot's server is elsewhere.
func AllowContext(text []byte, name, current string) (changed []byte, named []string, allowed bool, err error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, nil, false, err
	}
	if endpoint, _ := d.ValueAt("api_server", "endpoint").(string); endpoint != "" {
		return text, nil, false, nil
	}
	list, _ := d.ValueAt(allowedContexts...).([]any)
	if d.ValueAt(allowedContexts...) == "all" || len(list) == 0 && current == name || slices.Contains(list, any(name)) {
		return text, contextNames(list), true, nil
	}
	if d, err = d.AddItem(name, allowedContexts...); err != nil {
		return nil, nil, false, err
	}
	if len(list) == 0 && current != "" && !strings.HasPrefix(current, "ssh-") {
		if d, err = d.AddItem(current, allowedContexts...); err != nil {
			return nil, nil, false, err
		}
	}
	list, _ = d.ValueAt(allowedContexts...).([]any)
	return d.Bytes(), contextNames(list), true, nil
}

func contextNames(list []any) []string {
	var names []string
	for _, v := range list {
		if name, ok := v.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// forbidInSkyPilot takes a context out of those that SkyPilot uses.
func forbidInSkyPilot(ctx context.Context, path, name, current string) error {
	_, err := personalfile.Apply(ctx, personalfile.Edit{Path: path, OnlyExisting: true, HasEntries: hasAllowedContexts,
		Lock: lockSkyPilotConfig(path),
		Change: func(text, earlier []byte) ([]byte, error) {
			return ForbidContext(text, earlier, name, current)
		}})
	return err
}

// ForbidContext undoes AllowContext. The result is nil if nothing is left of a file that did not exist before.
func ForbidContext(text, earlier []byte, name, current string) ([]byte, error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, err
	}
	list, _ := d.ValueAt(allowedContexts...).([]any)
	index := slices.Index(list, any(name))
	if index < 0 {
		return text, nil
	}
	if d, err = d.RemoveItem(index, allowedContexts...); err != nil {
		return nil, err
	}
	before, err := yamltext.Parse(earlier)
	if err != nil {
		return d.Bytes(), nil //nolint:nilerr // the form of an empty list does not matter
	}
	left, _ := d.ValueAt(allowedContexts...).([]any)
	hadList, _ := before.ValueAt(allowedContexts...).([]any)
	if len(hadList) == 0 && len(left) == 1 && left[0] == current { // means the same as no list
		if d, err = d.RemoveItem(0, allowedContexts...); err != nil {
			return nil, err
		}
	}
	for depth := len(allowedContexts); depth > 0; depth-- {
		if d, err = d.RestoreForm(before, allowedContexts[:depth]...); err != nil {
			return nil, err
		}
	}
	if earlier == nil && len(d.Value()) == 0 && !d.HasComments() {
		return nil, nil
	}
	return d.Bytes(), nil
}

func hasAllowedContexts(text []byte) bool {
	d, err := yamltext.Parse(text)
	if err != nil {
		return false
	}
	list, _ := d.ValueAt(allowedContexts...).([]any)
	return slices.ContainsFunc(list, func(v any) bool {
		name, _ := v.(string)
		return strings.HasPrefix(name, ContextName(""))
	})
}

// lockSkyPilotConfig takes the lock that SkyPilot takes for its own changes (SKYPILOT_CONFIG_LOCK_PATH).
func lockSkyPilotConfig(path string) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) {
		dir := filepath.Join(filepath.Dir(path), "locks")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, personalfile.LockWait)
		defer cancel()
		return filelock.Acquire(ctx, filepath.Join(dir, ".skypilot_config.lock"))
	}
}
