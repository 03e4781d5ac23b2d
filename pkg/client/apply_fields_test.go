package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/test/eventually"
)

// parseTree returns the document of a file that is given as JSON.
func parseTree(t *testing.T, tree map[string]any) manifest.Document {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := manifest.Parse("file.json", text)
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return docs[0]
}

// newTree is a file of a cluster with one pool, and with one field more; an empty path adds none.
func newTree(name, path string, value any) map[string]any {
	pool := map[string]any{"name": "default", "replicas": 2, "machine": map[string]any{"cpus": "2"}}
	tree := map[string]any{"apiVersion": api.APIVersion, "kind": api.Kind, "metadata": map[string]any{"name": name},
		"spec": map[string]any{"cloud": "docker", "pools": []any{pool},
			"control_plane": map[string]any{"machine": map[string]any{"cpus": "2"}}}}
	at, parts := tree, strings.Split(path, ".")
	if inPool, ok := strings.CutPrefix(path, "spec.pools."); ok {
		at, parts = pool, strings.Split(inPool, ".")
	}
	for i, part := range parts[:len(parts)-1] {
		at = childOf(at, part, findFileField(path[:len(path)-len(strings.Join(parts[i+1:], "."))-1]))
	}
	if path != "" {
		at[parts[len(parts)-1]] = value
	}
	if strings.HasSuffix(path, "spot_fallback") {
		pool["machine"].(map[string]any)["use_spot"] = true
	}
	if strings.HasPrefix(path, "spec.snapshots.s3_") { // they go together
		at["s3_url"], at["s3_secret"] = "s3://backups/prod", "backup-login"
	}
	if strings.HasPrefix(path, "spec.ssh.") { // so do these
		for _, part := range []string{"proxy_jump", "proxy_jump_host_key", "proxy_jump_secret"} {
			at[part] = findFileField("spec.ssh." + part).Example
		}
	}
	return tree
}

func findFileField(path string) api.FileField {
	fields := api.FileFields()
	return fields[slices.IndexFunc(fields, func(f api.FileField) bool { return f.Path == path })]
}

// childOf returns the object in a field; of a list of objects, the only one.
func childOf(of map[string]any, name string, f api.FileField) map[string]any {
	child, known := of[name].(map[string]any)
	switch {
	case known:
	case f.Type == api.TypeObjectList:
		child = map[string]any{f.Key: findFileField(f.Path + "." + f.Key).Example}
		of[name] = []any{child}
	default:
		child = map[string]any{}
		of[name] = child
	}
	return child
}

// exampleOf is a value for a field of a file; nil for objects.
func exampleOf(f api.FileField) any {
	switch f.Type {
	case api.TypeText:
		return f.Example
	case api.TypeCount, api.TypeNumber:
		n, _ := strconv.ParseFloat(f.Example, 64)
		return n
	case api.TypeSwitch:
		return f.Example == "true"
	case api.TypeList:
		return []string{f.Example}
	case api.TypeMap, api.TypeValueMap:
		key, value, _ := strings.Cut(f.Example, "=")
		return map[string]string{key: value}
	}
	return nil
}

func TestEveryFieldChangesThroughAFileAsItDeclares(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	if _, err := c.WriteSecret(t.Context(), "backup-login", map[string][]byte{api.SecretKeyAccessKey: []byte("a"),
		api.SecretKeySecretKey: []byte("b")}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteSecret(t.Context(), "bastion", map[string][]byte{api.SecretKeySSHPrivateKey: []byte("a")},
		false); err != nil {
		t.Fatal(err)
	}
	base := parseTree(t, newTree("fields", "", nil))
	applyOne(t, c, base)
	changed := map[api.ChangeWay]int{}
	for _, f := range api.FileFields() {
		value := exampleOf(f)
		if value == nil || f.Required || strings.HasPrefix(f.Path, "spec.gpu") {
			continue // a part of every file, or with accelerators only
		}
		doc := parseTree(t, newTree("fields", f.Path, value))
		p, err := planOne(t, c, doc)
		switch {
		case len(p.Differences) == 0:
			continue // the example is the default
		case f.Change.Way == api.ChangeNever:
			if err == nil || !strings.Contains(err.Error(), f.Change.Why) ||
				!strings.Contains(err.Error(), f.Change.Instead) || !strings.Contains(err.Error(), "file.json:1:") {
				t.Errorf("%s: %v", f.Path, err)
			}
		case err != nil:
			t.Errorf("%s: %v", f.Path, err)
			continue
		default:
			checkSteps(t, f, p)
			applyOne(t, c, doc)
			if again, err := planOne(t, c, doc); err != nil || again.Kind != ApplySame {
				t.Errorf("%s again: %v, %+v", f.Path, err, again.Differences)
			}
			applyOne(t, c, base)
		}
		changed[f.Change.Way]++
	}
	if changed[api.ChangeFreely] < 9 || changed[api.ChangeByReplacing] < 6 || changed[api.ChangeNever] < 10 {
		t.Errorf("few fields were changed: %v", changed)
	}
}

// checkSteps checks that machines are replaced exactly where a field declares it.
func checkSteps(t *testing.T, f api.FileField, p ApplyPlan) {
	t.Helper()
	replaced := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Kind == api.ActionReplace })
	if byReplacing := f.Change.Way == api.ChangeByReplacing; replaced != byReplacing &&
		!strings.HasSuffix(f.Path, "spot_fallback") { // with use_spot
		t.Errorf("%s is to change %s, and leads to %+v", f.Path, f.Change.Way, p.Steps)
	}
}

func TestTwoPeopleApplyTenClustersAtOnce(t *testing.T) {
	world.StartWorker(t)
	const clusters = 10
	files := func(replicas int) (docs []manifest.Document) {
		for i := range clusters {
			docs = append(docs, newDocument(t, fmt.Sprintf("team%d", i), replicas))
		}
		return docs
	}
	people := []*Client{newClient(t), newClient(t)}
	for _, doc := range files(1) {
		applyOne(t, people[0], doc)
	}
	var both sync.WaitGroup
	planned := make(chan struct{}, len(people))
	won := make([]map[string]bool, len(people))
	for i, c := range people {
		won[i] = map[string]bool{}
		docs := files(2 + i)
		if i == 1 {
			slices.Reverse(docs)
		}
		both.Go(func() {
			plans, err := c.PlanApply(t.Context(), docs, PlanOptions{})
			planned <- struct{}{}
			if err != nil {
				t.Error(err)
			}
			eventually.Holds(t, "both plans", func() bool { return len(planned) == len(people) })
			for _, p := range plans {
				result, err := c.Apply(t.Context(), p)
				var conflict *ApplyConflictError
				if err != nil && !errors.As(err, &conflict) {
					t.Error(err)
				}
				won[i][p.Name] = err == nil && result.Kind == ApplyChange
			}
		})
	}
	both.Wait()
	for i := range clusters {
		name := fmt.Sprintf("team%d", i)
		stored, err := world.Store.ReadCluster(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		replicas := stored.Spec.FindPool("default").Replicas
		if won[0][name] == won[1][name] || !won[replicas-2][name] || stored.Metadata.Generation != 2 {
			t.Errorf("%s has %d replicas and generation %d; changed by the first %v, by the second %v", name, replicas,
				stored.Metadata.Generation, won[0][name], won[1][name])
		}
	}
}
