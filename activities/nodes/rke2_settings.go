package nodes

import (
	"context"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// addRKE2Settings fills in the registries and the variables that the cluster's spec gives RKE2, with the values of the
// secrets that it refers to. It records those values as secrets of the cluster first: its machines may print them for
// as long as they live.
func (a *Activities) addRKE2Settings(ctx context.Context, c *api.Cluster, node *rke2.Node) error {
	settings := c.Spec.RKE2
	values, err := a.readUsedSecrets(ctx, c)
	if err != nil {
		return err
	}
	valuesOf := func(secret string) (v usedValues) { // in the order of the references
		if secret != "" {
			v, values = values[0], values[1:]
		}
		return v
	}
	for _, r := range settings.Registries {
		v := valuesOf(r.Secret)
		node.Registries = append(node.Registries, rke2.Registry{Host: r.Host, Mirrors: r.Mirrors,
			Username: v.textOf(api.SecretKeyUsername), Password: v.textOf(api.SecretKeyPassword),
			Token: v.textOf(api.SecretKeyToken), CA: r.CA})
	}
	if len(settings.Env) > 0 {
		node.Env = map[string]string{}
	}
	for _, e := range settings.Env {
		node.Env[e.Name] = e.Value
		if e.Secret != "" {
			node.Env[e.Name] = valuesOf(e.Secret).textOf(e.Key)
		}
		if strings.ContainsFunc(node.Env[e.Name], isControl) {
			return &unusableSecretError{secret: e.Secret, key: e.Key, variable: e.Name}
		}
	}
	return nil
}

// readRKE2Env returns the variables that addRKE2Settings fills in.
func (a *Activities) readRKE2Env(ctx context.Context, c *api.Cluster) (map[string]string, error) {
	var node rke2.Node
	err := a.addRKE2Settings(ctx, c, &node)
	return node.Env, err
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// usedValues are the values of a secret that one reference uses, by key.
type usedValues map[string][]byte

// textOf returns a value without the line break at its end that files often have.
func (v usedValues) textOf(key string) string { return strings.TrimRight(string(v[key]), "\r\n") }

// readUsedSecrets reads the values that a spec refers to, in the order of its references, and records them.
func (a *Activities) readUsedSecrets(ctx context.Context, c *api.Cluster) ([]usedValues, error) {
	var all []usedValues
	used := map[string][]byte{}
	for _, r := range c.Spec.SecretReferences() {
		read, err := a.Store.ReadNamedSecret(ctx, r.Secret)
		if err != nil {
			return nil, err
		}
		keys := findKeySet(r.KeySets, read.Values)
		if keys == nil {
			return nil, &store.SecretMissingError{Name: r.Secret, Keys: r.KeySets[0]}
		}
		values := usedValues{}
		for _, key := range keys {
			values[key] = read.Values[key]
			used[store.UsedSecret(r.Secret, key, read.Version)] = read.Values[key]
		}
		all = append(all, values)
	}
	if len(used) == 0 {
		return all, nil
	}
	return all, a.Store.CreateSecrets(ctx, c.Ref(), used)
}

// findKeySet returns the first set of keys that all have a value; nil if there is none.
func findKeySet(sets [][]string, values map[string][]byte) []string {
	for _, keys := range sets {
		if !slices.ContainsFunc(keys, func(key string) bool { return len(values[key]) == 0 }) {
			return keys
		}
	}
	return nil
}

// unusableSecretError says that a variable cannot have the value of a secret.
type unusableSecretError struct{ secret, key, variable string }

func (e *unusableSecretError) Error() string {
	return "the value of key " + e.key + " of secret " + e.secret + " has more than one line, which the variable " +
		e.variable + " cannot have; to store it again: skyctl create secret " + e.secret + " --replace"
}

// Reason is SecretUnusable.
func (e *unusableSecretError) Reason() string { return "SecretUnusable" }

// Final is true: a person has to store it again.
func (e *unusableSecretError) Final() bool { return true }
