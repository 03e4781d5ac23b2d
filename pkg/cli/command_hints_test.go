package cli

import (
	"fmt"
	"strings"
	"testing"

	build "github.com/sky-shift/skyctl/pkg/version"
)

// checkCommandLine returns why a command line, without its first word, cannot be run. It runs nothing.
func checkCommandLine(words []string) error {
	root := (&app{}).newRootCommand()
	lines := arrangeArgs(root, words)
	cmd, rest, err := root.Find(lines[0])
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	if cmd.HasSubCommands() && cmd.HasParent() {
		return fmt.Errorf("%s needs a subcommand", cmd.CommandPath())
	}
	return nil
}

func TestEveryCommandHintCanBeRun(t *testing.T) {
	names := strings.NewReplacer("machine NAME", "machine sky-dev-1", "NAME", "dev", "FILE", "dev.yaml",
		"KEY=VALUE", "a=b", "num_nodes N", "num_nodes 3", " SRC DST", " dev:/a b", " (its RKE2)", "")
	root := (&app{}).newRootCommand()
	for word, hint := range rootHints {
		if findSubcommand(root, word) != nil {
			t.Errorf("%s is a command: no hint is needed", word)
		}
		for line := range strings.SplitSeq(names.Replace(hint), ", or ") {
			words := strings.Fields(line)
			if words[0] != "skyctl" {
				t.Errorf("%s: the hint %q is no command", word, hint)
			}
			if err := checkCommandLine(words[1:]); err != nil {
				t.Errorf("%s: %s: %v", word, line, err)
			}
		}
	}
}

func TestUnknownCommandsNameTheOneThatIsMeant(t *testing.T) {
	p := newUserWithoutState(t)
	for _, tt := range []struct{ words, says string }{
		{"ls", "did you mean skyctl get clusters?"},
		{"list -a", "did you mean skyctl get clusters?"},
		{"status --refresh", "did you mean skyctl get clusters, or skyctl describe cluster NAME?"},
		{"up -c dev task.yaml", "did you mean skyctl create cluster NAME --provision?"},
		{"launch", "did you mean skyctl create cluster NAME --provision?"},
		{"lanch --gpus A100", "did you mean skyctl create cluster NAME --provision?"},
		{"down dev", "did you mean skyctl delete cluster NAME?"},
		{"rm dev", "did you mean skyctl delete cluster NAME?"},
		{"ps", "did you mean skyctl get clusters?"},
		{"kubeconfig", "did you mean skyctl get kubeconfig NAME?"},
		{"autostop dev -i 10", "did you mean skyctl stop cluster NAME?"},
		{"queue dev", "did you mean skyctl kubectl NAME -- get jobs -A?"},
		{"rollout restart deployment/web", "did you mean skyctl kubectl NAME -- rollout"},
		{"gpus list", "did you mean skyctl create cluster NAME --provision --accelerators A100:8 --dry-run?"},
		{"load docker-image web", "did you mean skyctl explain cluster.spec.rke2.images?"},
		{"nodes", "did you mean skyctl get machines?"},
		{"crate cluster dev", "did you mean create?"},
		{"crate --help", "did you mean create?"},
		{"help crate", "did you mean create?"},
		{"help ls", "did you mean skyctl get clusters?"},
		{"des", "did you mean describe?"},
		{"get pods -A", "did you mean skyctl kubectl -- get pods?"},
		{"get clutsers --help", "did you mean clusters?"},
		{"delete clsuter dev", "did you mean cluster?"},
		{"xyzzy --help", "see skyctl --help"},
	} {
		got := p.run(strings.Fields(tt.words)...)
		if got.code != ExitUsage || got.out != "" || !strings.Contains(got.err, "unknown command") ||
			!strings.Contains(got.err, tt.says) {
			t.Errorf("%s: exit %d: %s%s", tt.words, got.code, got.out, got.err)
		}
	}
	p.checkNothingWritten()
}

func TestVersionFlagPrintsTheVersion(t *testing.T) {
	p := newUserWithoutState(t)
	p.run("--version").checkOutput(t, 0, "skyctl "+build.ReadBuild().String()+"\n", "")
	p.checkNothingWritten()
}
