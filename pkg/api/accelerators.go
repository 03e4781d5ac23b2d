package api

import (
	"fmt"
	"regexp"
	"strings"
)

// MaxAccelerators is how many one machine may be asked to have.
const MaxAccelerators = 128

// Accelerators is a kind of accelerator and how many of it each machine has.
type Accelerators struct {
	Name  string
	Count int
}

func (a Accelerators) String() string { return fmt.Sprintf("%s:%d", a.Name, a.Count) }

var acceleratorName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,62}$`)

// ParseAccelerators reads --accelerators: A100 (one of them), A100:8, or {A100: 8}. Whether a cloud has them is for the
// cloud to say. Its error is a *FieldError.
func ParseAccelerators(s string) (Accelerators, error) {
	wrong := func(why string) (Accelerators, error) {
		return Accelerators{}, &FieldError{Field: "accelerators", Value: s,
			Want: "accelerators per machine as NAME or NAME:COUNT, such as A100:8" + why}
	}
	text := strings.TrimSpace(s)
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		if text, ok = strings.CutSuffix(inner, "}"); !ok {
			return wrong("; the brace is not closed")
		}
	}
	if strings.Contains(text, ",") {
		return wrong("; one kind per cluster")
	}
	name, count, counted := strings.Cut(text, ":")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	n := 1
	if counted {
		var ok bool
		if n, ok = parseWholeNumber(strings.TrimSpace(count)); !ok || n < 1 || n > MaxAccelerators {
			return wrong(fmt.Sprintf("; the count is a whole number from 1 to %d", MaxAccelerators))
		}
	}
	if !acceleratorName.MatchString(name) {
		return wrong("")
	}
	return Accelerators{Name: name, Count: n}, nil
}

// nvidiaModel is the form of the names that SkyPilot's catalogs give to NVIDIA's accelerators, in whatever case.
var nvidiaModel = regexp.MustCompile(`(?i)^(rtx|rtxpro|gh|gb|[abhklmptv])\d+[a-z]*(-[a-z0-9]+)?$`)

// canonicalAcceleratorName is the name of one of NVIDIA's accelerators with the capitals that SkyPilot's catalogs have
// (https://docs.skypilot.co/en/latest/compute/gpus.html), which it does not insist on: nodes are labelled with it, and
// people see it.
func canonicalAcceleratorName(name string) string {
	if !nvidiaModel.MatchString(name) {
		return name
	}
	return strings.NewReplacer("-ADA", "-Ada", "T4G", "T4g").Replace(strings.ToUpper(name))
}
