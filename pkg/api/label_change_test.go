package api

import (
	"maps"
	"strings"
	"testing"
)

func TestLabelChangeIsParsedAndApplied(t *testing.T) {
	have := map[string]string{"team": "web", "owner": "ann"}
	for _, tt := range []struct {
		args      []string
		overwrite bool
		want      map[string]string
		says      string
	}{
		{[]string{"tier=a"}, false, map[string]string{"team": "web", "owner": "ann", "tier": "a"}, "tier=a"},
		{[]string{"team=web"}, false, have, ""},
		{[]string{"team=vision"}, true, map[string]string{"team": "vision", "owner": "ann"},
			`team=vision (was "web")`},
		{[]string{"owner-", "team=", "absent-"}, true, map[string]string{"team": ""},
			`team= (was "web"), owner removed`},
		{[]string{"owner-", "team-", "team-"}, false, nil, "owner removed, team removed"},
	} {
		change, err := ParseLabelChange(tt.args)
		if err != nil {
			t.Errorf("%v: %v", tt.args, err)
			continue
		}
		got, err := change.ApplyTo(have, tt.overwrite)
		if err != nil || !maps.Equal(got, tt.want) || len(got) == 0 && got != nil {
			t.Errorf("%v: %v, %v", tt.args, got, err)
		}
		if text := DescribeLabelChange(have, got); text != tt.says {
			t.Errorf("%v: %q, want %q", tt.args, text, tt.says)
		}
	}
	if have["team"] != "web" || have["owner"] != "ann" {
		t.Errorf("the labels themselves were changed: %v", have)
	}
}

func TestLabelWithOtherValueNeedsOverwrite(t *testing.T) {
	change, err := ParseLabelChange([]string{"team=vision", "owner=bob", "tier=a"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = change.ApplyTo(map[string]string{"team": "web", "owner": "ann"}, false)
	if err == nil || strings.Count(err.Error(), "--overwrite") != 2 || !strings.Contains(err.Error(),
		`labels "team=vision": the label has the value "web"`) {
		t.Errorf("got %v", err)
	}
}

func TestBadLabelArgumentsAreRefused(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"team", "KEY- to remove one"}, {"-", "a key of at most 63"}, {"a/b/c-", "a key of at most 63"},
		{"te am=x", "a key of at most 63"}, {"team=vi sion", "a value of at most 63"},
		{"team=a,team-", "not both: team=a"}, {"team=a,team=b", "each key once"},
	} {
		args := strings.Split(tt.args, ",")
		if _, err := ParseLabelChange(args); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.says)
		}
	}
	for arg, want := range map[string]bool{"dev": false, "team=x": true, "owner-": true, "my-cluster": false} {
		if IsLabelArgument(arg) != want {
			t.Errorf("IsLabelArgument(%q) = %v", arg, !want)
		}
	}
}

func TestLabelsOfReservedDomainsDoNotReachNodes(t *testing.T) {
	for key, owner := range map[string]string{"team": "", "example.com/team": "",
		"node-role.kubernetes.io/x": "Kubernetes", NodeLabelPool: "skyctl"} {
		if got := LabelKeyOwner(key); got != owner {
			t.Errorf("%s: %q, want %q", key, got, owner)
		}
	}
}
