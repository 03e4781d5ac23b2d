package rke2config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/rke2config"
)

func TestKeysThatSkyctlOwnsAreRefusedByName(t *testing.T) {
	for key, want := range map[string]string{
		"token": "secrets", "agent-token": "secrets", "token-file": "secrets", "etcd-s3-secret-key": "s3_url",
		"etcd-s3": "s3_url", "node-ip": "each machine", "cni": "network.cni", "ingress-controller": "ingress",
		"enable-servicelb": "enable_servicelb", "private-registry": "rke2.registries", "node-taint": "pool",
		"cluster-cidr": "max_nodes", "cluster-reset": "restore", "datastore-endpoint": "etcd", "data-dir": "default",
		"kube-apiserver-args": "kube-apiserver-arg,", "proflie": "profile,", "cluster-init": "a key of RKE2's",
		"flannel-backend": "a key of RKE2's", "": "a key of RKE2's", "disable+": "disable,",
		"profile": "", "kubelet-arg": "", "tls-san": "", "disable": "", "system-default-registry": "",
		"kube-apiserver-image": "", "debug": "", "selinux": "",
	} {
		got := rke2config.CheckKey(key)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestArgumentsThatSkyctlOwnsAreRefused(t *testing.T) {
	for value, isOwned := range map[string]bool{"eviction-hard=memory.available<1Gi": true,
		"system-reserved=cpu=1": true,
		"--fail-cgroupv1=true":  true, "max-pods=200": false, "eviction-soft=memory.available<1Gi": false} {
		if got := rke2config.CheckValue("kubelet-arg", value); (got != "") != isOwned {
			t.Errorf("%s: %q", value, got)
		}
	}
	for arg, isOwned := range map[string]bool{
		"kubelet-arg: system-reserved+=memory=1Gi": true, "kubelet-arg: eviction-hard-=x": true,
		"kubelet-arg: hostname-override=x": true, "kubelet-arg: root-dir=/data": true,
		"kube-apiserver-arg: --secure-port=7443": true, "kube-apiserver-arg: audit-log-maxage=30": false,
		"kube-controller-manager-arg: node-cidr-mask-size-ipv4=26":   true,
		"kube-controller-manager-arg: terminated-pod-gc-threshold=9": false,
		"kube-proxy-arg: cluster-cidr=10.0.0.0/8":                    true,
		"kube-proxy-arg: proxy-mode=nftables":                        false,
		"etcd-arg: data-dir=/data":                                   true, "etcd-arg: quota-backend-bytes=1": false,
	} {
		key, value, _ := strings.Cut(arg, ": ")
		if got := rke2config.CheckValue(key, value); (got != "") != isOwned {
			t.Errorf("%s: %q", arg, got)
		}
	}
	for value, isValid := range map[string]bool{"cis": true, "etcd": true, "cis-1.23": false} {
		if got := rke2config.CheckValue("profile", value); (got == "") != isValid {
			t.Errorf("%s: %q", value, got)
		}
	}
	if got := rke2config.CheckValue("etcd-arg", "eviction-hard=1"); got != "" {
		t.Error(got)
	}
}

func TestAgentsKnowNoKeysOfServers(t *testing.T) {
	for key, onAgents := range map[string]bool{"kubelet-arg": true, "profile": true, "pause-image": true,
		"kube-apiserver-arg": false, "disable": false, "system-default-registry": false} {
		if !rke2config.IsServerKey(key) || rke2config.IsAgentKey(key) != onAgents {
			t.Errorf("%s: server %v, agent %v", key, rke2config.IsServerKey(key), rke2config.IsAgentKey(key))
		}
	}
}

func TestIngressControllersByRelease(t *testing.T) {
	for version, want := range map[string]string{
		"v1.30.14+rke2r1": "", "v1.31.0+rke2r1": "ingress-nginx: traefik ingress-nginx none",
		"v1.34.9+rke2r1": "ingress-nginx: traefik ingress-nginx none",
		"v1.35.7+rke2r1": "ingress-nginx: traefik ingress-nginx none",
		"v1.36.0+rke2r1": "traefik: traefik ingress-nginx none",
		"v1.36.4+rke2r1": "traefik: traefik ingress-nginx none",
		"v1.37.0+rke2r1": "traefik: traefik none", "": "", "latest": "",
	} {
		got := ""
		if accepted := rke2config.IngressControllersOf(version); len(accepted) > 0 {
			got = rke2config.DefaultIngress(version) + ": " + strings.Join(accepted, " ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
		if def := rke2config.DefaultIngress(version); def != "" &&
			!slices.Contains(rke2config.IngressControllersOf(version), def) {
			t.Errorf("%s does not accept its default %s", version, def)
		}
	}
}
