package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/helmchart"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/helmjob"
)

// newHelmJobCommand is what the pods of HelmCharts run.
func newHelmJobCommand() *cobra.Command {
	return &cobra.Command{
		Use: helmchart.JobCommand, DisableFlagParsing: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			env := map[string]string{}
			for _, kv := range os.Environ() {
				key, value, _ := strings.Cut(kv, "=")
				env[key] = value
			}
			// An interrupted Helm leaves a release pending for ever.
			signal.Ignore(syscall.SIGTERM, os.Interrupt)
			job := helmjob.Job{
				Args: args, Env: env, Helm: []string{self, "helm"}, Out: cmd.OutOrStdout(),
				ValuesDir: helmchart.ValuesDir, CADir: helmchart.CADir, ContentDir: helmchart.ContentDir,
				Scratch:        helmchart.Scratch,
				TerminationLog: "/dev/termination-log",
			}
			err = job.Run(cmd.Context())
			if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
				// Helm has said why; its line is to be the last.
				os.Exit(ended.ExitCode())
			}
			return err
		},
	}
}

// newHelmControllerCommand watches HelmCharts.
func newHelmControllerCommand() *cobra.Command {
	var kubeconfig, binary string
	cmd := &cobra.Command{
		Use: "helm-controller", SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return helmchart.Run(ctx, kubeconfig, binary)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the apiserver")
	cmd.Flags().StringVar(&binary, "job-binary", "", "this program, as every node has it")
	return cmd
}
