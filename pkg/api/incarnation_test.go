package api_test

import (
	"bytes"
	"crypto/rand"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestIncarnationsAreUniformAndReadable(t *testing.T) {
	counts := map[rune]int{}
	const n = 20000
	for range n {
		id, err := api.NewIncarnation(rand.Reader)
		if err != nil || len(id) != api.IncarnationLength || strings.ContainsAny(id, "aeiou013l") ||
			!regexp.MustCompile(`^[a-z0-9]+$`).MatchString(id) {
			t.Fatalf("%q, %v", id, err)
		}
		for _, c := range id {
			counts[c]++
		}
	}
	mean := float64(n*api.IncarnationLength) / float64(len(counts))
	for c, k := range counts {
		if math.Abs(float64(k)-mean) > 6*math.Sqrt(mean) {
			t.Errorf("%c came %d times, the mean is %.0f", c, k, mean)
		}
	}
	if _, err := api.NewIncarnation(bytes.NewReader([]byte{1, 2})); err == nil {
		t.Error("too little randomness was enough")
	}
}

func TestMachinesOfAClusterHaveDifferentIncarnations(t *testing.T) {
	random := strings.Repeat("a", api.IncarnationLength) + strings.Repeat("b", api.IncarnationLength)
	first, err := api.NewIncarnation(strings.NewReader(random))
	if err != nil {
		t.Fatal(err)
	}
	twice := random + random + strings.Repeat("c", api.IncarnationLength)
	next := api.NewIncarnations(strings.NewReader(twice), []api.Machine{{Incarnation: first}})
	second, err := next()
	if err != nil || second == first {
		t.Errorf("%q again, %v", second, err)
	}
	if third, err := next(); err != nil || third == first || third == second {
		t.Errorf("%q again, %v", third, err)
	}
	if _, err := next(); err == nil {
		t.Error("too little randomness was enough")
	}
}

func TestANewMachineIsNamedAndReserved(t *testing.T) {
	now := time.Now()
	m := api.NewMachine("c", 2, api.DefaultPool, "bcdfg", api.Placement{Cloud: "docker"}, now)
	if m.Name != "sky-c-2" || m.NodeName != "sky-c-2-bcdfg" || m.Role != api.RoleWorker ||
		m.State != api.MachineReserved || m.ReservedAt != now || m.Placement.Cloud != "docker" {
		t.Errorf("%+v", m)
	}
	if api.NewMachine("c", 0, "", "bcdfg", api.Placement{}, now).Role != api.RoleHead {
		t.Error("machine 0 is not the head")
	}
}
