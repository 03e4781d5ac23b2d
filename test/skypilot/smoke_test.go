package skypilot

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/test/eventually"
)

func TestBothCloudsAreEnabled(t *testing.T) {
	raw := do(t, "/check", map[string]any{"clouds": []string{"aws", "paperspace"}, "verbose": false})
	var enabled map[string]map[string][]string // by workspace and cloud
	if err := json.Unmarshal(raw, &enabled); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for _, cloud := range []string{"AWS", "Paperspace"} {
		if !slices.Contains(enabled["default"][cloud], "compute") {
			t.Errorf("%s is not enabled: %s", cloud, raw)
		}
	}
}

func TestMachineOnAWSAnswersSSHAndDownRemovesIt(t *testing.T) {
	do(t, "/launch", launch(t, "one", map[string]any{
		"infra": "aws/us-east-1/us-east-1b", "cpus": "2+", "labels": map[string]string{"colour": "green"},
	}))
	list := clusters(t, "one")
	if len(list) != 1 || list[0].Status != "UP" || list[0].Cloud != "AWS" || list[0].Region != "us-east-1" {
		t.Fatalf("the cluster is %+v", list)
	}
	i := onlyInstance(t)
	if i.State != "running" || i.Zone != "us-east-1b" || i.Type != "m6i.large" || i.Tags["colour"] != "green" ||
		!strings.HasPrefix(i.Tags["ray-cluster-name"], "one-") || !strings.HasSuffix(i.Profile, "/"+Profile) {
		t.Errorf("the instance is %+v", i)
	}
	groups, err := env.AWS.ListSecurityGroups(t.Context())
	if err != nil || len(groups) != 1 || len(i.Groups) != 1 || groups[0].ID != i.Groups[0].ID ||
		len(groups[0].Rules) == 0 {
		t.Errorf("groups %+v (%v), of the instance %+v", groups, err, i.Groups)
	}
	if c := list[0].Credentials; c.User != AWSUser || remote(t, c.User, c.Key, i.PublicIP, "sudo id -u") != "0\n" {
		t.Errorf("user %s is not root by sudo", c.User)
	}
	if profiles, err := env.AWS.ListInstanceProfiles(t.Context()); err != nil || len(profiles) != 1 ||
		len(profiles[0].Roles) != 0 {
		t.Errorf("profiles %+v (%v), want none but the one without rights", profiles, err)
	}
	group := url.Values{"GroupId": {groups[0].ID}}
	err = env.AWS.CallAPI(t.Context(), "ec2", i.Region, "DeleteSecurityGroup", group, nil)
	if err == nil || !strings.Contains(err.Error(), "DependencyViolation") {
		t.Errorf("deleting the group of a machine: %v", err)
	}
	refused := set(t, Fault{Operation: "TerminateInstances", Cluster: "one-*", Code: "UnauthorizedOperation",
		Message: "not today", Times: 1})
	if r := await(t, submit(t, "/down", map[string]any{"cluster_name": "one", "purge": false})); r.Status != "FAILED" ||
		refused.CountRequests() != 1 {
		t.Errorf("the down that AWS refused: %s, %s", r.Status, r.Error.Message)
	}
	onlyInstance(t)
	down(t, "one")
	if left, err := env.AWS.ListBilledInstances(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("after down %+v remain (%v)", left, err)
	}
	call(t, i.Region, "DeleteSecurityGroup", group)
}

func TestOptimizerChoosesTheCheaperCloud(t *testing.T) {
	for cpus, want := range map[string]string{"2": "Paperspace", "4": "AWS"} {
		body := launch(t, "cheap"+cpus, map[string]any{"cpus": cpus + "+"})
		body["dryrun"] = true
		id := submit(t, "/launch", body)
		if r := await(t, id); r.Status != "SUCCEEDED" {
			t.Fatalf("%s: %s", r.Status, r.Error.Message)
		}
		var chosen string
		for line := range strings.Lines(stream(t, id)) {
			if strings.Contains(line, "✔") {
				chosen += line
			}
		}
		if !strings.Contains(chosen, want) {
			t.Errorf("for %s cores the optimizer chose %q, want %s", cpus, chosen, want)
		}
	}
	do(t, "/launch", launch(t, "cheapest", map[string]any{"cpus": "2+"}))
	list := clusters(t, "cheapest")
	if len(list) != 1 || list[0].Status != "UP" || list[0].Cloud != "Paperspace" {
		t.Fatalf("the cluster is %+v", list)
	}
	m := machines(t)
	if len(m) != 1 || m[0].Cloud != "paperspace" || m[0].Type != "C4" {
		t.Fatalf("the machines are %+v", m)
	}
	if c := list[0].Credentials; remote(t, c.User, c.Key, m[0].Address, "id -un") != PaperspaceUser+"\n" {
		t.Errorf("logged in as %s", c.User)
	}
	down(t, "cheapest")
}

func TestLaunchFailsOverToTheNextRegionWithCapacity(t *testing.T) {
	fault := set(t, NoCapacityFault("us-east-1", ""))
	do(t, "/launch", launch(t, "over", map[string]any{"infra": "aws", "cpus": "2+", "use_spot": true}))
	if i := onlyInstance(t); i.Region != "us-west-2" || i.Lifecycle != "spot" {
		t.Errorf("the instance is %+v", i)
	}
	if fault.CountRequests() == 0 {
		t.Error("us-east-1, the cheapest region, was not tried")
	}
	down(t, "over")
}

func TestQuotaErrorIsOnlyInTheStream(t *testing.T) {
	set(t, NoQuotaFault("us-*"))
	set(t, NoQuotaFault("eu-*"))
	id := submit(t, "/launch", launch(t, "quota", map[string]any{"infra": "aws", "cpus": "2+"}))
	r := await(t, id)
	if r.Status != "FAILED" || r.Error.Type != "ResourcesUnavailableError" {
		t.Errorf("%s, %s: %s", r.Status, r.Error.Type, r.Error.Message)
	}
	if strings.Contains(r.Error.Message, "VcpuLimitExceeded") {
		t.Errorf("the error contains the cloud's own reason: %s", r.Error.Message)
	}
	if said := stream(t, id); !strings.Contains(said, "VcpuLimitExceeded") {
		t.Errorf("the stream lacks the cloud's own reason:\n%s", said)
	}
	if left := machines(t); len(left) != 0 {
		t.Errorf("there is %+v", left)
	}
}

func TestRestartedServerLosesTheRequestNotTheMachine(t *testing.T) {
	fault := set(t, Fault{Operation: "RunInstances", Hang: true, After: true})
	id := submit(t, "/launch", launch(t, "kept", map[string]any{"infra": "aws/us-east-1", "cpus": "2+"}))
	eventually.Holds(t, "the launch has created its machine",
		func() bool { return len(machines(t)) == 1 && fault.CountRequests() == 1 })
	if err := env.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fault.Clear(); err != nil {
		t.Fatal(err)
	}
	if r := await(t, id); !strings.HasPrefix(r.Status, "404") {
		t.Errorf("the server still has the request: %s", r.Status)
	}
	if i := onlyInstance(t); i.State != "running" {
		t.Errorf("the instance is %+v", i)
	}
	if list := clusters(t, "kept"); len(list) != 1 || list[0].Status != "UP" {
		t.Errorf("the server lists %+v", list)
	}
	down(t, "kept")
}

func TestPowerOffFollowsTheInstancesShutdownBehavior(t *testing.T) {
	do(t, "/launch", launch(t, "off", map[string]any{"infra": "aws/us-west-2", "cpus": "2+"}))
	i := onlyInstance(t)
	shutdown := func(means, state string) {
		t.Helper()
		call(t, i.Region, "ModifyInstanceAttribute", url.Values{
			"InstanceId": {i.ID}, "InstanceInitiatedShutdownBehavior.Value": {means},
		})
		if how, err := env.AWS.ReadShutdownBehavior(t.Context(), i); err != nil || how != means {
			t.Errorf("at shutdown the instance would %s (%v), want %s", how, err, means)
		}
		if err := env.PowerOffMachine(t.Context(), machines(t)[0]); err != nil {
			t.Fatal(err)
		}
		eventually.Holds(t, "the instance is "+state, func() bool { return slices.Contains(states(t, i.ID), state) })
	}
	eventually.Holds(t, "sshd is up", func() bool { return banner(machines(t)[0].Address) })
	shutdown("stop", "stopped")
	if list := clusters(t, "off"); len(list) != 1 || list[0].Status != "STOPPED" {
		t.Errorf("the cluster is %+v", list)
	}
	call(t, i.Region, "StartInstances", url.Values{"InstanceId.1": {i.ID}})
	eventually.Holds(t, "sshd is up again", func() bool { return banner(machines(t)[0].Address) })
	shutdown("terminate", "terminated")
	eventually.Holds(t, "the host is gone", func() bool { return len(machines(t)) == 0 })
	if list := clusters(t, "off"); len(list) != 0 {
		t.Errorf("the server lists %+v", list)
	}
}

func set(t *testing.T, f Fault) *ActiveFault {
	t.Helper()
	active, err := env.SetFault(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = active.Clear() }) // the test may have
	return active
}

func call(t *testing.T, region, action string, params url.Values) {
	t.Helper()
	if err := env.AWS.CallAPI(t.Context(), "ec2", region, action, params, nil); err != nil {
		t.Fatal(err)
	}
}

// onlyInstance returns the one instance that costs money.
func onlyInstance(t *testing.T) Instance {
	t.Helper()
	list, err := env.AWS.ListBilledInstances(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("instances %+v (%v), want one", list, err)
	}
	return list[0]
}

// states returns the state of an instance, as a list of one.
func states(t *testing.T, id string) []string {
	t.Helper()
	list, err := env.AWS.ListInstances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, i := range list {
		if i.ID == id {
			found = append(found, i.State)
		}
	}
	return found
}

// remote runs a command over SSH; the machine may be booting yet.
func remote(t *testing.T, user, key, ip, command string) string {
	t.Helper()
	signer, err := ssh.ParsePrivateKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	var client *ssh.Client
	eventually.Holds(t, "SSH answers", func() bool {
		client, err = ssh.Dial("tcp", sshAddress(ip), &ssh.ClientConfig{
			User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 5 * time.Second,
			HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the key is not known in advance
		})
		return err == nil
	})
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Output(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}
