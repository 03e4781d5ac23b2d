package api

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// MaxAccelerators is the highest number of accelerators per machine.
const MaxAccelerators = 128

// Accelerators is a kind of accelerator and its number per machine. The zero value is none.
type Accelerators struct {
	Name  string
	Count int
}

func (a Accelerators) String() string { return fmt.Sprintf("%s:%d", a.Name, a.Count) }

const wantAccelerators = "accelerators per machine as NAME or NAME:COUNT, such as A100:8"

var acceleratorName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9._-]{0,62}$`)

// ParseAccelerators parses --accelerators: A100 (one of them), A100:8, or {A100: 8}. It does not check that a cloud
// offers them. Its error is a *FieldError.
func ParseAccelerators(s string) (Accelerators, error) {
	wrong := func(why string) (Accelerators, error) {
		return Accelerators{}, &FieldError{Field: "accelerators", Value: s, Want: wantAccelerators + why}
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

// nvidiaModel matches the names of NVIDIA's accelerators in SkyPilot's catalogs, in any case.
var nvidiaModel = lazyregexp.New(`(?i)^(rtx|rtxpro|gh|gb|[abhklmptv])\d+[a-z]*(-[a-z0-9]+)?$`)

// canonicalAcceleratorName spells the name of one of NVIDIA's accelerators as SkyPilot's catalogs do
// (https://docs.skypilot.co/en/latest/compute/gpus.html). SkyPilot ignores case, but people and node labels see the
// name.
func canonicalAcceleratorName(name string) string {
	if !nvidiaModel.MatchString(name) {
		return name
	}
	return strings.NewReplacer("-ADA", "-Ada", "T4G", "T4g").Replace(strings.ToUpper(name))
}
