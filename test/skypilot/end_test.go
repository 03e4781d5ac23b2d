package skypilot

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// TestMain hands over to child where this is set.
const childVariable = "SKYTEST_CHILD_DIR"

// child is a test that is about to be killed with its environment up.
func child(dir string) {
	e, err := Start(context.Background(), Options{Dir: dir, WithoutServer: true})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("up:", e.id)
	select {}
}

func TestNothingIsLeftOfATestThatWasKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+t.TempDir())
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
		t.Fatalf("the child said %q (%v)", line, err)
	}
	networks := func() int {
		list, err := env.engine.api.NetworkList(t.Context(), network.ListOptions{
			Filters: filters.NewArgs(filters.Arg("label", LabelEnv+"="+id))})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	until(t, "its network is gone, which goes last", func() bool { return networks() == 0 })
}
