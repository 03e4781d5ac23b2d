package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

// collectValues reads the values of a secret from all flags. No error quotes a value.
func (o *createSecretOptions) collectValues(ctx context.Context) (map[string][]byte, error) {
	c := secretCollection{}
	for _, literal := range o.literals {
		key, value, ok := strings.Cut(literal, "=")
		if !ok {
			return nil, usageErrorf("--from-literal needs KEY=VALUE; to be asked for a value: --from-stdin KEY")
		}
		if err := c.addValue(key, []byte(value)); err != nil {
			return nil, err
		}
	}
	for _, file := range o.files {
		key, path, ok := strings.Cut(file, "=")
		if !ok {
			key, path = filepath.Base(file), file
		}
		value, err := readSecretFile(path)
		if err == nil {
			err = c.addValue(key, value)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, path := range o.envFiles {
		if err := c.addEnvFile(path); err != nil {
			return nil, err
		}
	}
	if err := o.addInputs(ctx, c); err != nil {
		return nil, err
	}
	if len(c) == 0 {
		return nil, usageErrorf("a secret needs a value: --from-stdin KEY, --from-file KEY=PATH, " +
			"--from-env-file FILE or --from-literal KEY=VALUE")
	}
	return c, nil
}

// secretCollection are the values of a secret by key.
type secretCollection map[string][]byte

func (c secretCollection) addValue(key string, value []byte) error {
	if err := api.ValidateSecretKey(key); err != nil {
		return err
	}
	if _, twice := c[key]; twice {
		return usageErrorf("key %s is given twice", key)
	}
	c[key] = value
	return nil
}

func (c secretCollection) addEnvFile(path string) error {
	text, err := readSecretFile(path)
	if err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || api.ValidateSecretKey(key) != nil { // what is there may be a value
			return usageErrorf("%s, line %d: it needs KEY=VALUE, and KEY is %s", path, n, api.WantSecretKey)
		}
		if err := c.addValue(key, []byte(value)); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
	return nil
}

// readSecretFile reads a file of at most the size of a secret.
func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &usageError{err}
	}
	defer f.Close()
	value, err := readSecretValue(f)
	if err != nil {
		return nil, usageErrorf("reading %s: %w", path, err)
	}
	return value, nil
}

func readSecretValue(r io.Reader) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, api.MaxSecretBytes+1))
	if err == nil && len(value) > api.MaxSecretBytes {
		err = fmt.Errorf("it has more than %d KiB, the limit of a secret", api.MaxSecretBytes>>10)
	}
	return value, err
}

// addInputs reads the values of --from-stdin.
func (o *createSecretOptions) addInputs(ctx context.Context, c secretCollection) error {
	onTerminal := terminal.IsTerminal(o.env.In)
	if len(o.inputs) > 1 && !onTerminal {
		return usageErrorf("--from-stdin can be repeated only on a terminal: the input is one value")
	}
	for _, key := range o.inputs {
		if err := api.ValidateSecretKey(key); err != nil {
			return err
		}
		value, err := o.readInput(ctx, key, onTerminal)
		if err == nil {
			err = c.addValue(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *createSecretOptions) readInput(ctx context.Context, key string, onTerminal bool) ([]byte, error) {
	if !onTerminal {
		value, err := readSecretValue(o.env.In)
		if err != nil {
			return nil, usageErrorf("reading the input: %w", err)
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r")), nil
	}
	fmt.Fprintf(o.env.Err, "Value of %s (it is not shown): ", key)
	value, err := terminal.ReadHidden(ctx, o.env.In)
	fmt.Fprintln(o.env.Err)
	switch {
	case ctx.Err() != nil:
		return nil, &interruptedError{hint: "Nothing was stored."}
	case errors.Is(err, io.EOF):
		return nil, usageErrorf("the input ended before the value of %s", key)
	}
	return value, err
}
