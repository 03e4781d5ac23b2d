//go:build !nohelm

package main

import (
	"errors"
	"os"

	helmcmd "helm.sh/helm/v4/pkg/cmd"
	helmkube "helm.sh/helm/v4/pkg/kube"
)

// runHelm is Helm's own command line.
func runHelm(args []string) int {
	helmkube.ManagedFieldsManager = "helm"
	cmd, err := helmcmd.NewRootCmd(os.Stdout, args, helmcmd.SetupLogging)
	if err != nil {
		return 1
	}
	cmd.SetArgs(args)
	err = cmd.Execute()
	var code helmcmd.CommandError
	switch {
	case errors.As(err, &code):
		return code.ExitCode
	case err != nil:
		return 1
	}
	return 0
}
