package gpu

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// Driver is what a machine shows of NVIDIA's accelerators.
type Driver struct {
	// Installed means that a driver is present and works; Version is its version.
	Installed bool   `json:"installed"`
	Version   string `json:"version,omitempty"`
	// Fault is the output of an nvidia-smi that fails.
	Fault string `json:"fault,omitempty"`
	// GPUs is the number of GPUs that the driver lists or, without a driver, that are on the PCI bus.
	GPUs int `json:"gpus"`
	// Model is the driver's name of the first GPU.
	Model string `json:"model,omitempty"`
}

// pciDevices is the directory in which Linux lists PCI devices.
const pciDevices = "/sys/bus/pci/devices"

// probeScript prints a line for each fact. The timeouts are for a driver that hangs, such as after a device fell off
// the bus. 0x0300 and 0x0302 are display controllers; NVIDIA's audio functions and NVSwitches have other classes
// (https://pci-ids.ucw.cz/read/PD/03).
const probeScript = `
if command -v nvidia-smi >/dev/null 2>&1; then
  if out=$(timeout 60 nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>&1); then
    echo "version=$(printf '%%s\n' "$out" | head -n 1)"
    timeout 60 nvidia-smi -L 2>/dev/null | grep '^GPU ' | sed 's/^/gpu=/'
  else
    code=$?
    echo "fault=$(printf '%%s' "$out" | tr '\n' ' ' | cut -c 1-400) (exit $code)"
  fi
fi
for d in %s/*; do
  [ "$(cat "$d/vendor" 2>/dev/null)" = 0x10de ] || continue
  case $(cat "$d/class" 2>/dev/null) in 0x0300*|0x0302*) echo pci=1 ;; esac
done
exit 0
`

// ProbeDriver checks over SSH whether NVIDIA's driver works on a machine, and counts its accelerators.
func ProbeDriver(ctx context.Context, h *remote.Host) (Driver, error) {
	return probeDriverAt(ctx, h, pciDevices)
}

func probeDriverAt(ctx context.Context, h *remote.Host, devices string) (Driver, error) {
	out, err := h.RunScript(ctx, "probing NVIDIA's driver", fmt.Sprintf(probeScript, remote.QuoteShell(devices)))
	if err != nil {
		return Driver{}, err
	}
	return parseProbeOutput(string(out)), nil
}

func parseProbeOutput(out string) Driver {
	var d Driver
	listed, onBus := 0, 0
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(redact.Text(line)), "=")
		switch key {
		case "version":
			d.Installed, d.Version = value != "", value
		case "fault":
			d.Fault = value
		case "pci":
			onBus++
		case "gpu":
			listed++
			if listed == 1 {
				d.Model = parseModel(value)
			}
		}
	}
	d.GPUs = onBus
	if d.Installed {
		d.GPUs = listed
	}
	return d
}

// parseModel extracts "NVIDIA A100-SXM4-80GB" from "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-…)".
func parseModel(line string) string {
	_, name, _ := strings.Cut(line, ": ")
	name, _, _ = strings.Cut(name, " (UUID")
	return name
}

// MachineDriver is the probe result of one machine.
type MachineDriver struct {
	Machine string `json:"machine"`
	Driver  Driver `json:"driver"`
	// Requested is the number of accelerators that its spec requests.
	Requested int `json:"requested,omitempty"`
}

// FindCommonDriver returns the driver that all machines of a cluster have in common, so that one chart setting fits
// them all. If a machine has a broken driver or fewer accelerators than requested, or if it differs from the others,
// the error is a *Failure that names it.
func FindCommonDriver(machines []MachineDriver) (Driver, error) {
	var with, without []string
	common := Driver{}
	for _, m := range machines {
		common.GPUs = max(common.GPUs, m.Requested)
		switch d := m.Driver; {
		case d.Fault != "":
			return Driver{}, &Failure{Kind: DriverBroken, Machine: m.Machine,
				Message: "NVIDIA's driver is installed but does not work: " + d.Fault +
					"; use an image with a working driver, or one without a driver"}
		case d.GPUs < m.Requested:
			return Driver{}, &Failure{Kind: GPUMissing, Machine: m.Machine,
				Message: fmt.Sprintf("it shows %s of the %d requested NVIDIA GPUs; replace the machine, or "+
					"check its devices with nvidia-smi -L and lspci", formatFoundCount(d.GPUs), m.Requested)}
		case d.Installed:
			with = append(with, m.Machine)
			if common.Version == "" {
				common.Version, common.Model = d.Version, d.Model
			}
		default:
			without = append(without, m.Machine)
		}
	}
	if len(with) > 0 && len(without) > 0 {
		return Driver{}, newDriverMismatch(with, without)
	}
	common.Installed = len(with) > 0
	return common, nil
}

func formatFoundCount(n int) string {
	if n == 0 {
		return "none"
	}
	return "only " + strconv.Itoa(n)
}

// newDriverMismatch names the machines in the minority.
func newDriverMismatch(with, without []string) *Failure {
	odd, rest, has, lack := with, without, "has NVIDIA's driver", "have none"
	if len(without) < len(with) {
		odd, rest, has, lack = without, with, "has no NVIDIA driver", "have one"
	}
	f := &Failure{Kind: DriverDiffers, Machine: odd[0]}
	if len(odd) == 1 {
		f.Message = fmt.Sprintf("it %s, while %s %s", has, AbbreviateList(rest), lack)
	} else {
		f.Message = fmt.Sprintf("it %s, as %s, while %s %s", has, AbbreviateList(odd[1:]), AbbreviateList(rest), lack)
	}
	f.Message += "; all machines of a cluster need the same image"
	return f
}
