// Command kube is upstream Kubernetes, etcd and Helm, with the controller of
// HelmCharts, in one static binary: the component is chosen by the name the binary
// is called by, or by its first argument. One file keeps the release small, and its
// text pages are shared by every component of a node.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcdmember"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/helmchart"

	// As the upstream binaries do: log formats and metrics register themselves.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/restclient"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// components maps a name to the constructor of its command.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectlcmd.NewDefaultKubectlCommand,
	"etcd":                    etcdmember.NewServerCommand,
	etcd.RestoreCommand:       etcdmember.NewRestoreCommand,
	"helm-controller":         newHelmControllerCommand,
	helmchart.JobCommand:      newHelmJobCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, ok := components[name]; !ok && name != "helm" && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	construct, ok := components[name]
	if name == "helm" {
		os.Exit(runHelm(os.Args[1:]))
	}
	if !ok {
		names := make([]string, 0, len(components))
		for n := range components {
			names = append(names, n)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "Error: name the component to run: one of %s\n", strings.Join(names, ", "))
		os.Exit(1)
	}
	os.Exit(cli.Run(construct()))
}
