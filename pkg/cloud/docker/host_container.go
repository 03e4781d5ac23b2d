package docker

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostimage"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostnet"
)

// Labels of containers in addition to those of every cloud.
const (
	labelCPUs      = "skyctl-cpus"
	labelMemoryGiB = "skyctl-memory-gib"
	labelHostKey   = "skyctl-host-key"
	// labelMachine is the name of the machine that a volume belongs to.
	labelMachine = "skyctl-machine"
)

// hostLabels are the labels of a requested host.
func hostLabels(req cloud.LaunchRequest, hostKey, address string) map[string]string {
	return map[string]string{
		cloud.LabelInstallation: req.Owner.Installation,
		cloud.LabelCluster:      req.Owner.Cluster,
		cloud.LabelClusterUID:   req.Owner.ClusterUID,
		cloud.LabelIndex:        strconv.Itoa(req.Index),
		cloud.LabelIncarnation:  req.Incarnation,
		labelCPUs:               formatNumber(req.Placement.CPUs),
		labelMemoryGiB:          formatNumber(req.Placement.MemoryGiB),
		labelHostKey:            hostKey,
		hostnet.LabelAddress:    address,
	}
}

// volumeLabels are the labels of a requested host's volumes. They identify the volumes after someone removed the
// container by hand.
func volumeLabels(req cloud.LaunchRequest) map[string]string {
	return map[string]string{
		cloud.LabelInstallation: req.Owner.Installation,
		cloud.LabelCluster:      req.Owner.Cluster,
		cloud.LabelClusterUID:   req.Owner.ClusterUID,
		cloud.LabelIncarnation:  req.Incarnation,
		labelMachine:            req.Name,
	}
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// machineOf is a container as a machine.
func machineOf(s container.Summary) cloud.Machine {
	l := s.Labels
	m := cloud.MachineFromLabels(engine.ContainerName(s), l)
	m.ID, m.State, m.CreatedAt, m.Cloud = s.ID, machineStateOf(s.State), time.Unix(s.Created, 0), Name
	m.Address = hostnet.ContainerAddress(s)
	m.PrivateAddress, m.SSHUser, m.SSHPort, m.HostKey = m.Address, hostimage.SSHUser, hostimage.SSHPort, l[labelHostKey]
	m.CPUs, _ = strconv.ParseFloat(l[labelCPUs], 64)
	m.MemoryGiB, _ = strconv.ParseFloat(l[labelMemoryGiB], 64)
	return m
}

func machineStateOf(s container.ContainerState) cloud.MachineState {
	switch s {
	case container.StateRunning:
		return cloud.StateRunning
	case container.StateCreated, container.StateRestarting:
		return cloud.StatePending
	}
	return cloud.StateStopped
}

// findContainer returns the container of a name, whoever owns it, or nil.
func (c *Cloud) findContainer(ctx context.Context, name string) (*container.Summary, error) {
	// The engine's filter is a regular expression for a name with or without its slash.
	found, err := c.engine.ListContainers(ctx, filters.Arg("name", "^/?"+regexp.QuoteMeta(name)+"$"))
	if err != nil {
		return nil, c.engine.WrapError("look for machine "+name, err)
	}
	for _, s := range found {
		if engine.ContainerName(s) == name {
			return &s, nil
		}
	}
	return nil, nil
}

// checkSameLaunch checks that a container is the requested machine. The error says what else it is.
func checkSameLaunch(s container.Summary, req cloud.LaunchRequest, hostKey string) error {
	m := machineOf(s)
	why, remedy := "", "remove or rename it"
	switch {
	case m.Owner.Installation == "":
		why = "is a container that skyctl did not create"
	case m.Owner.Installation != req.Owner.Installation:
		why = fmt.Sprintf("belongs to another installation of skyctl (%s)", m.Owner.Installation)
		remedy = "choose another name for your cluster"
	case m.Owner.ClusterUID != req.Owner.ClusterUID:
		why = fmt.Sprintf("belongs to another cluster %s (uid %s)", m.Owner.Cluster, m.Owner.ClusterUID)
	case m.Incarnation != req.Incarnation:
		why = fmt.Sprintf("is an earlier incarnation (%s)", m.Incarnation)
	case m.HostKey != hostKey:
		why = "was launched with another SSH host key"
	default:
		return nil
	}
	return &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
		"machine %s cannot be launched: container %.12s has its name and %s; skyctl does not change it: %s", req.Name,
		s.ID, why, remedy)}
}

// publicHostKey is the public part of a request's host key, in authorized_keys form.
func publicHostKey(req cloud.LaunchRequest) (string, error) {
	signer, err := ssh.ParsePrivateKey(req.HostKey)
	if err != nil {
		return "", &cloud.Error{Kind: cloud.Infeasible, Cause: err,
			Message: fmt.Sprintf("machine %s: its SSH host key is invalid", req.Name)}
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}
