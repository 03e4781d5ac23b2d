package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/head"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

const defaultTTL = 24 * time.Hour

// runToken creates a bootstrap token and prints it in its full form.
func runToken(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "create" {
		return errors.New("the kit implements `rke2 token create [--ttl 24h]` only")
	}
	ttl, dataDir, err := parseTokenFlags(args[1:])
	if err != nil {
		return err
	}
	tls := filepath.Join(dataDir, "server", "tls")
	caFile := filepath.Join(tls, "server-ca.crt")
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read cluster CA, is this a server that has been started? %w", err)
	}
	hash, err := token.HashCA(ca)
	if err != nil {
		return err
	}
	api, err := kubeapi.New(head.LocalAPI, caFile, filepath.Join(tls, "client-admin.crt"),
		filepath.Join(tls, "client-admin.key"))
	if err != nil {
		return err
	}
	created, err := supervisor.CreateBootstrapToken(ctx, api, ttl)
	if err != nil {
		return err
	}
	fmt.Println(token.Token{CAHash: hash, Password: created}.FormatFull())
	return nil
}

func parseTokenFlags(args []string) (ttl time.Duration, dataDir string, err error) {
	ttl, dataDir = defaultTTL, defaultDataDir
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		if !hasValue && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch name {
		case "--ttl":
			if ttl, err = time.ParseDuration(value); err != nil {
				return 0, "", fmt.Errorf("--ttl %q: want a duration such as 1h", value)
			}
		case "--data-dir":
			dataDir = value
		default:
			return 0, "", fmt.Errorf("flag provided but not defined: %s", name)
		}
	}
	return ttl, dataDir, nil
}
