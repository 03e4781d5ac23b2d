package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestUnknownFlagsNameTheOneThatIsMeant(t *testing.T) {
	p := newUserWithoutState(t)
	for line, says := range map[string]string{
		"create cluster dev --nodes 3":           "did you mean --num_nodes? See skyctl create cluster --help",
		"create cluster dev --gpus A100:8":       "did you mean --accelerators?",
		"create cluster dev --spot":              "did you mean --use_spot?",
		"create cluster dev --version 1.34":      "did you mean --kubernetes_version?",
		"create cluster dev --instance-type m5":  "--cpus, --memory and --accelerators choose it.",
		"create cluster --name dev":              "the name is an argument",
		"create cluster dev --wiat":              "did you mean --wait?",
		"create cluster dev -d":                  "unless you use --wait.",
		"apply --file dev.yaml":                  "did you mean --filename?",
		"apply -f dev.yaml --auto-approve":       "did you mean --yes?",
		"get clusters -A":                        "skyctl has no namespaces",
		"get clusters --namespace default":       "skyctl has no namespaces",
		"get clusters --json":                    "did you mean --output?",
		"get clusters --kubeconfig x":            "skyctl get kubeconfig NAME",
		"get clusters --spot":                    "see skyctl get clusters --help", // the command has no such flag
		"create -f dev.yaml":                     "skyctl apply -f FILE",
		"create cluster -f dev.yaml":             "skyctl apply -f FILE",
		"delete -f dev.yaml":                     "skyctl delete cluster NAME, -l or --all",
		"delete cluster dev --force":             "delete cluster -y does not ask, and --purge",
		"delete --force":                         "delete cluster -y does not ask, and --purge",
		"delete clusters -f dev.yaml":            "skyctl delete cluster NAME, -l or --all",
		"exec -it dev -- bash":                   "skyctl ssh NAME -t -- COMMAND",
		"get clusters --show-labels":             "the table of clusters has a column LABELS",
		"get clusters -L team":                   "TEAM:.metadata.labels.team",
		"get clusters --jq .items":               "-o jsonpath='{.PATH}' chooses fields",
		"get clusters --web":                     "skyctl server status",
		"get clusters --v=6":                     "did you mean --verbose?",
		"logs dev -n 5":                          "--tail says how many lines",
		"logs dev -c rke2":                       "--unit chooses the log",
		"delete snapshot first --force":          "unknown flag: --force; see skyctl delete snapshot --help",
		"delete secret login -f dev.yaml":        "in -f; see skyctl delete secret --help",
		"create snapshot dev -f dev.yaml":        "in -f; see skyctl create snapshot --help",
		"server logs -c rke2":                    "in -c; see skyctl server logs --help",
		"logs dev --lines 5":                     "did you mean --tail?",
		"create cluster dev --provision --xyzzy": "unknown flag: --xyzzy; see skyctl create cluster --help",
	} {
		got := p.run(strings.Fields(line)...)
		if got.code != ExitUsage || got.out != "" || !strings.Contains(got.err, says) ||
			!strings.Contains(got.err, "unknown") || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: exit %d: %s%s", line, got.code, got.out, got.err)
		}
	}
	p.checkNothingWritten()
}

func TestFlagHintsAreOfCommandsWithoutTheFlag(t *testing.T) {
	root := (&app{}).newRootCommand()
	for path, hints := range commandFlagHints {
		cmd, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 || cmd.CommandPath() != "skyctl "+path {
			t.Errorf("there is no command %q: %v", path, err)
			continue
		}
		for name := range hints {
			if cmd.Flag(name) != nil || len(name) == 1 && cmd.Flags().ShorthandLookup(name) != nil {
				t.Errorf("skyctl %s has the flag %s", path, name)
			}
		}
	}
}

func TestEveryFlagHintNamesAFlag(t *testing.T) {
	for foreign, own := range foreignFlags {
		used := false
		walkCommands((&app{}).newRootCommand(), func(cmd *cobra.Command) {
			used = used || cmd.Flag(own) != nil && cmd.Flag(foreign) == nil
		})
		if !used {
			t.Errorf("--%s: no command has --%s without it", foreign, own)
		}
	}
}
