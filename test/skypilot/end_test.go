package skypilot

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/test/eventually"
)

// TestMain runs child if this is set.
const childVariable = "SKYTEST_CHILD_DIR"

// child is a test that is killed while its environment runs.
func child(dir string) {
	e, err := StartEnv(context.Background(), Options{Dir: dir, WithoutServer: true})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("up:", e.id)
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed; the Go runtime may take select{} for a deadlock
}

func TestKilledTestLeavesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+t.TempDir())
	if _, err := cmd.StdinPipe(); err != nil { // open until Wait
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	id, up := strings.CutPrefix(strings.TrimSpace(line), "up: ")
	if !up {
		t.Fatalf("the child printed %q (%v)", line, err)
	}
	eventually.Holds(t, "the environment and all its machines are gone", func() bool { return leftovers(id) == "" })
}

// leftovers lists the hosts and the network of an environment that has ended.
func leftovers(id string) string {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err.Error()
	}
	defer api.Close()
	label := filters.NewArgs(filters.Arg("label", LabelEnv+"="+id))
	hosts, err := api.ContainerList(context.Background(), container.ListOptions{All: true, Filters: label})
	if err != nil {
		return err.Error()
	}
	networks, err := api.NetworkList(context.Background(), network.ListOptions{Filters: label})
	if err != nil {
		return err.Error()
	}
	if len(hosts)+len(networks) == 0 {
		return ""
	}
	return fmt.Sprintf("%d hosts, %d networks of environment %s", len(hosts), len(networks), id)
}
