package manifest_test

import (
	"flag"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

var update = flag.Bool("update", false, "write the golden files and docs/cluster-file.md")

var now = time.Unix(1_000_000, 0).UTC()

// parseOne parses a file with one cluster.
func parseOne(t *testing.T, text string) manifest.Document {
	t.Helper()
	documents, err := manifest.Parse("dev.yaml", []byte(text))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%d clusters, %v in\n%s", len(documents), err, text)
	}
	return documents[0]
}

// parseSpec parses a file with a spec whose lines are given.
func parseSpec(t *testing.T, lines ...string) manifest.Document {
	t.Helper()
	return parseOne(t, header+"spec:\n  "+strings.Join(lines, "\n  ")+"\n")
}

const header = "apiVersion: skyctl.sky-shift.org/v1\nkind: Cluster\nmetadata: {name: dev}\n"

// randomCluster is a valid cluster with random labels and a random spec, for testing/quick.
type randomCluster struct{ *api.Cluster }

// Generate implements quick.Generator.
func (randomCluster) Generate(r *rand.Rand, _ int) reflect.Value {
	for {
		if c := newRandomCluster(r); c.Validate() == nil {
			return reflect.ValueOf(randomCluster{c})
		}
	}
}

func newRandomCluster(r *rand.Rand) *api.Cluster {
	pick := func(values ...string) string { return values[r.Intn(len(values))] }
	flip := func() bool { return r.Intn(2) == 0 }
	texts := func() map[string]string {
		labels := map[string]string{}
		for range r.Intn(4) {
			labels[pick("team", "tier", "example.com/owner", "on")] = pick("", "yes", "1.10", "vision", "true", "null")
		}
		if len(labels) == 0 {
			return nil
		}
		return labels
	}
	accelerators := pick("A100:8", "T4:1", "tpu-v3-8:1") // of one vendor, whose stack the cluster has
	machine := func() api.MachineSpec {
		m := api.MachineSpec{Zone: pick("", "us-east-1a"), CPUs: pick("", "2", "4+"), Memory: pick("", "16", "16+"),
			DiskSize: r.Intn(3) * 50, Accelerators: pick("", accelerators), UseSpot: flip(),
			MaxHourlyCost: float64(r.Intn(3)) * 1.25, ImageID: pick("", "ami-1"), SSHUser: pick("", "admin")}
		return m
	}
	spec := api.ClusterSpec{Provision: true, Cloud: pick("", "aws", "gcp"), Region: pick("", "us-east-1"),
		APIAccess: pick("", "public"), APICIDR: pick("", "203.0.113.0/24"),
		KubernetesVersion: pick("", "v1.35.7+rke2r1"), RKE2: randomRKE2Settings(pick, flip),
		GPU:          api.GPURelease{ChartRepo: pick("", "https://charts.example.com")},
		Network:      api.Network{MaxNodes: r.Intn(2) * 500, CNI: pick("", "cilium")},
		Ingress:      pick("", "none", "traefik"),
		ControlPlane: api.ControlPlane{Replicas: 1, Machine: machine()}}
	if flip() {
		spec.EnableServiceLB = new(true)
	}
	if spec.SSH.ProxyJump = pick("", "none", "jump@192.0.2.1:22"); spec.SSH.HasBastion() {
		f, _ := api.FindField("ssh_proxy_jump_host_key")
		spec.SSH.ProxyJumpHostKey, spec.SSH.ProxyJumpSecret = f.Example, "bastion"
	}
	for _, port := range []string{"80", "443", "30000-30100"} {
		if flip() {
			spec.Ports = append(spec.Ports, port)
		}
	}
	for _, name := range []string{"default", "gpu", "big", "yes"} {
		if flip() {
			continue
		}
		p := api.Pool{Name: name, MinReplicas: r.Intn(2), MaxReplicas: r.Intn(2) * 9, Machine: machine(),
			Labels: texts(), MaxUnavailable: r.Intn(3),
			DrainTimeout: api.Duration(r.Intn(3)) * api.Duration(90*time.Second),
			DrainForce:   flip()}
		p.Replicas = p.MinReplicas + r.Intn(3)
		if p.Machine.UseSpot {
			p.SpotFallback = pick("", "on_demand")
		}
		for _, taint := range []string{"a=b:NoSchedule", "c:NoExecute"} {
			if flip() {
				p.Taints = append(p.Taints, taint)
			}
		}
		spec.Pools = append(spec.Pools, p)
	}
	if spec.HasAccelerators() {
		spec.GPUStack = pick("", "none")
	}
	c := &api.Cluster{Metadata: api.Metadata{Name: "dev", UID: "u", Labels: texts(), CreatedAt: now, Generation: 3},
		Spec: spec}
	c.SetDefaults()
	return c
}

// String is for the message of a property that does not hold.
func (c randomCluster) String() string { return fmt.Sprintf("%+v", *c.Cluster) }

// export exports a cluster and parses the file.
func export(t *testing.T, c *api.Cluster) manifest.Document {
	t.Helper()
	text, err := manifest.Export(c)
	if err != nil {
		t.Fatal(err)
	}
	return parseOne(t, string(text))
}

// describePool is a pool in a few words: its name, its replicas and their bound, and the CPUs.
func describePool(p api.Pool) string {
	return fmt.Sprintf("%s %d/%d cpus %s", p.Name, p.Replicas, p.MaxReplicas, p.Machine.CPUs)
}

// randomRKE2Settings are settings with lists that have a key.
func randomRKE2Settings(pick func(...string) string, flip func() bool) api.RKE2Settings {
	s := api.RKE2Settings{RKE2Release: api.RKE2Release{Source: pick("", "release")}}
	for _, host := range []string{"docker.io", "registry.example.com:5000"} {
		if flip() {
			s.Registries = append(s.Registries, api.Registry{Host: host, Secret: pick("", "login"),
				Mirrors: []string{pick("https://mirror.example.com", "http://10.0.0.7:5000")}})
		}
	}
	if flip() {
		s.Env = append(s.Env, api.EnvVariable{Name: "HTTPS_PROXY", Secret: "proxy", Key: pick("url", "https")})
	}
	if flip() {
		s.Env = append(s.Env, api.EnvVariable{Name: "NO_PROXY", Value: pick("a.example.com", "10.0.0.0/8")})
	}
	for _, key := range []string{"selinux", "kube-apiserver-arg"} {
		if s.Config == nil {
			s.Config = map[string]api.ConfigValue{}
		}
		if flip() {
			s.Config[key] = api.ConfigValue{pick("cis", "true", "1.10")}
		}
		if flip() {
			s.Config[key] = append(s.Config[key], pick("x=1", "on"))
		}
	}
	if flip() {
		s.Images = append(s.Images, api.ImageArchive{Path: pick("/srv/a.tar", "/srv/b.tar.zst"),
			SHA256: pick("", strings.Repeat("0a", 32))})
	}
	return s
}
