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
	used, err := a.readUsedSecrets(ctx, c.Spec.SecretReferences())
	if err != nil {
		return err
	}
	if err := a.recordUsedSecrets(ctx, c.Ref(), used); err != nil {
		return err
	}
	for _, r := range settings.Registries {
		var of usedSecret
		if r.Secret != "" { // in the order of the references
			of, used = used[0], used[1:]
		}
		node.Registries = append(node.Registries, rke2.Registry{Host: r.Host, Mirrors: r.Mirrors,
			Username: of.textOf(api.SecretKeyUsername), Password: of.textOf(api.SecretKeyPassword),
			Token: of.textOf(api.SecretKeyToken), CA: r.CA})
	}
	node.Env, err = resolveEnv(settings.Env, used)
	return err
}

// resolveEnv returns variables with the values of the secrets that they refer to, which begin used, in their order.
func resolveEnv(variables []api.EnvVariable, used []usedSecret) (map[string]string, error) {
	if len(variables) == 0 {
		return nil, nil
	}
	env := map[string]string{}
	for _, e := range variables {
		env[e.Name] = e.Value
		if e.Secret != "" {
			env[e.Name], used = used[0].textOf(e.Key), used[1:]
		}
		if strings.ContainsFunc(env[e.Name], isControl) {
			return nil, &unusableSecretError{secret: e.Secret, key: e.Key, variable: e.Name}
		}
	}
	return env, nil
}

// readRKE2Env returns the variables that addRKE2Settings fills in. It reads no other secrets, and records nothing.
func (a *Activities) readRKE2Env(ctx context.Context, c *api.Cluster) (map[string]string, error) {
	variables := c.Spec.RKE2.Env
	spec := api.ClusterSpec{RKE2: api.RKE2Settings{Env: variables}}
	used, err := a.readUsedSecrets(ctx, spec.SecretReferences())
	if err != nil {
		return nil, err
	}
	return resolveEnv(variables, used)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// usedSecret has the values of a secret that one reference uses, by key.
type usedSecret struct {
	name    string
	version int64
	values  map[string][]byte
}

// textOf returns a value without the line break at its end that files often have.
func (s usedSecret) textOf(key string) string {
	return strings.TrimRight(string(s.values[key]), "\r\n")
}

// readUsedSecrets reads the values that references use, in their order.
func (a *Activities) readUsedSecrets(ctx context.Context, references []api.SecretReference) ([]usedSecret, error) {
	var all []usedSecret
	for _, r := range references {
		read, err := a.Store.ReadNamedSecret(ctx, r.Secret)
		if err != nil {
			return nil, err
		}
		keys := findKeySet(r.KeySets, read.Values)
		if keys == nil {
			return nil, &store.SecretMissingError{Name: r.Secret, Keys: r.KeySets[0]}
		}
		used := usedSecret{name: r.Secret, version: read.Version, values: map[string][]byte{}}
		for _, key := range keys {
			used.values[key] = read.Values[key]
		}
		all = append(all, used)
	}
	return all, nil
}

// recordUsedSecrets records values as secrets of a cluster.
func (a *Activities) recordUsedSecrets(ctx context.Context, ref api.Ref, used []usedSecret) error {
	values := map[string][]byte{}
	for _, s := range used {
		for key, value := range s.values {
			values[store.UsedSecret(s.name, key, s.version)] = value
		}
	}
	if len(values) == 0 {
		return nil
	}
	return a.Store.CreateSecrets(ctx, ref, values)
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
