package render

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestCreateCommandLineHasItsGPUFlags(t *testing.T) {
	c := fixture.NewGPUCluster()
	if got := CreateCommandLine(c); !strings.Contains(got, "--accelerators A100:8 --gpu_taint") ||
		strings.Contains(got, "gpu_stack") {
		t.Errorf("got %s", got)
	}
	c.Spec.GPUStack = "device-plugin"
	if got := CreateCommandLine(c); !strings.Contains(got, "--gpu_stack device-plugin --gpu_taint") {
		t.Errorf("got %s", got)
	}
}

func TestCreateCommandLineCreatesTheSameCluster(t *testing.T) {
	c := fixture.NewReadyCluster()
	c.Status.KeepOnFailure = true
	want := "skyctl create cluster train --provision --cpus 32+ --memory 128+ --disk_size 200 --accelerators A100:8 " +
		"--ports 80,30000-30100 --num_nodes 2 --labels app=ranking,team=search --keep-on-failure"
	if got := CreateCommandLine(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.Spec.KubernetesVersion = "v1.35.7+rke2r1"
	c.Spec.RKE2.RKE2Release = api.RKE2Release{Source: "/my kit", SHA256: "ab"}
	c.Spec.GPU.ChartRepo = "https://charts"
	want = "SKYCTL_RKE2_SOURCE='/my kit' SKYCTL_RKE2_SHA256=ab SKYCTL_GPU_CHART_REPO=https://charts " +
		strings.Replace(want, " --labels", " --kubernetes_version v1.35.7+rke2r1 --labels", 1)
	if got := CreateCommandLine(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c = fixture.NewFreshCluster()
	request := c.Spec.CreateRequest()
	request.Zone, request.UseSpot, request.MaxHourlyCost = "us-east-1a", true, 0.5
	request.ImageID, request.APICIDR, request.APIAccess = "ami-1", "10.0.0.0/8", "public"
	c.Spec = api.NewClusterSpec(request)
	want = "skyctl create cluster cloud-cluster --provision --cloud docker --zone us-east-1a --cpus 2+ --use_spot " +
		"--max_hourly_cost 0.5 --image_id ami-1 --api_cidr 10.0.0.0/8 --api_access public --num_nodes 3"
	if got := CreateCommandLine(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
