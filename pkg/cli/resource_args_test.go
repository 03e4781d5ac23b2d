package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestArgumentsAreArrangedForTheKindsTheyName(t *testing.T) {
	root := (&app{}).newRootCommand()
	for given, want := range map[string]string{
		"get clusters":                         "get clusters",
		"get cluster/dev":                      "get cluster dev",
		"get cl/dev cluster/web -o name":       "get cluster dev web -o name",
		"get -w clusters":                      "get clusters -w",
		"get -o name cl dev":                   "get cl -o name dev",
		"get -o=name cl dev":                   "get cl -o=name dev",
		"get --sort-by .x mc dev":              "get mc --sort-by .x dev",
		"--etcd-endpoints x get cluster/dev":   "--etcd-endpoints x get cluster dev",
		"get cluster/dev machine/sky-dev-1 -w": "get cluster dev -w; get machine sky-dev-1 -w",
		"get pools,mc dev":                     "get pools dev; get mc dev",
		"describe cluster/dev":                 "describe cluster dev",
		"delete -y clusters dev":               "delete clusters -y dev",
		"label cluster/dev a=b x/y=z":          "label cluster dev a=b x/y=z",
		"label cluster dev cluster/x=y":        "label cluster dev cluster/x=y",
		"scale cluster/dev --num_nodes 3":      "scale cluster dev --num_nodes 3",
		"get pool/gpu --cluster dev":           "get pool gpu --cluster dev",
		// what is none of this stays
		"create cluster cl/x":     "create cluster cl/x",
		"get kubeconfig dev":      "get kubeconfig dev",
		"get x/dev":               "get x/dev",
		"get cluster dev/x":       "get cluster dev/x",
		"pause reconcile dev":     "pause reconcile dev",
		"stop pool/gpu":           "stop pool/gpu",
		"explain cluster":         "explain cluster",
		"check -o json":           "check -o json",
		"get -- cluster/dev":      "get -- cluster/dev",
		"help get clusters":       "help get clusters",
		"__complete get cluster/": "__complete get cluster/",
		"":                        "",
	} {
		var got []string
		for _, line := range arrangeArgs(root, strings.Fields(given)) {
			got = append(got, strings.Join(line, " "))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%q:\ngot  %q\nwant %q", given, strings.Join(got, "; "), want)
		}
	}
}

func TestNamesOfResourcesAreUnique(t *testing.T) {
	var all []string
	for _, r := range resources {
		for _, word := range r.allNames() {
			if slices.Contains(all, word) {
				t.Errorf("%s means two kinds", word)
			}
			all = append(all, word)
		}
	}
}
