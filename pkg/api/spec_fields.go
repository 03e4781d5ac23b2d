package api

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Fields declares every field of a GroupSpec, in the order in which errors name them and describe shows them.
var Fields = slices.Concat(placementFields(), machineFields(), accessFields(), sshFields(), componentFields(),
	snapshotFields(), releaseFields())

// Clouds are the clouds that skyd knows: docker, and those of SkyPilot. Whether one is enabled is for skyd to say.
var Clouds = []string{
	"docker", "aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "lambda", "mithril", "nebius",
	"oci", "paperspace", "primeintellect", "scp", "seeweb", "shadeform", "verda", "vsphere",
}

// placementFields say what manages the cluster, and where its machines are.
func placementFields() []Field {
	provision := newSwitchField(Field{
		Change: neverChanges("skyctl has launched the machines of the cluster", "to end them: skyctl delete cluster"),
		Name:   "provision", Label: "Provision", Level: 1, Example: "true", Invalid: "false",
		Help: "launch machines for the cluster (required: existing clusters cannot be attached)",
		Want: "add --provision: it launches machines and installs Kubernetes on them; existing clusters cannot be " +
			"attached",
	}, func(s *GroupSpec) *bool { return &s.Provision }, nil)
	provision.check = func(s GroupSpec) error {
		if !s.Provision {
			return provision.newError("false")
		}
		return nil
	}
	return []Field{
		provision,
		newTextField(Field{
			Change: neverChanges("the cluster is managed by it", anotherCluster),
			Name:   "manager", Label: "Manager", Flag: FlagText, Level: 1, Example: ManagerK8, Invalid: "slurm",
			Values: []string{ManagerK8},
			Help:   "manager of the cluster (default k8)",
			Want:   "the only manager is " + ManagerK8 + " (Kubernetes)",
		}, func(s *GroupSpec) *string { return &s.Manager }, normalizeManager),
		newTextField(Field{
			Change: changesPlace,
			Name:   "cloud", Label: "Cloud", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "aws",
			Invalid: "A b",
			Values:  Clouds,
			Help: "docker (this computer) or a cloud that SkyPilot knows; skyctl check lists them (default: the " +
				"cheapest cloud that is enabled)",
			Want: "the name of a cloud, such as docker or aws",
		}, func(s *GroupSpec) *string { return &s.Cloud }, normalizeCloud),
		newTextField(Field{
			Change: changesPlace,
			Name:   "region", Label: "Region", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "us-east-1",
			Invalid: "us east", ValuesOn: regionsOn,
			Help: "region of the cloud (default: the cheapest)",
			Want: "the name of a region as its cloud spells it, such as us-east-1 on aws",
		}, func(s *GroupSpec) *string { return &s.Region }, matches(regionName.MatchString)),
		newTextField(Field{
			Change: changesMachines,
			Name:   "zone", Label: "Zone", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "us-east-1a",
			Invalid: "us east",
			Help:    "zone of the region, on clouds with zones (default: any)",
			Want:    "the name of a zone as its cloud spells it, such as us-east-1a on aws",
		}, func(s *GroupSpec) *string { return &s.Zone }, matches(regionName.MatchString)),
	}
}

// machineFields say what each machine is.
func machineFields() []Field {
	return []Field{
		newParsedField(Field{
			Change: changesMachines,
			Name:   "cpus", Label: "CPUs", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "4+", Invalid: "4.5",
			Help: "CPUs per machine: 4 is exactly four, 4+ is at least four",
			Want: wantCPUs,
		}, func(s *GroupSpec) *string { return &s.CPUs }, toText(ParseCPUs)),
		withShow(newParsedField(Field{
			Change: changesMachines,
			Name:   "memory", Label: "Memory", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "16+",
			Invalid: "16GB",
			Help:    "memory per machine in GiB: 16 or 16+",
			Want:    wantMemory,
		}, func(s *GroupSpec) *string { return &s.Memory }, toText(ParseMemory)), "%s GiB"),
		withShow(newNumberField(Field{
			Change: changesMachines,
			Name:   "disk_size", Label: "Disk", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "100",
			Invalid: "0",
			Help:    "disk per machine in GiB, such as 100",
			Want:    wantDisk,
		}, func(s *GroupSpec) *int { return &s.DiskSize }, numberField[int]{
			parse: ParseDiskSize, format: strconv.Itoa, isIn: func(n int) bool { return n >= 0 && n <= MaxDiskGiB },
		}), "%s GiB"),
		acceleratorsField(), gpuStackField(), gpuTaintField(), useSpotField(), maxHourlyCostField(),
		newTextField(Field{
			Change: changesMachines,
			Name:   "image_id", Label: "Image", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "ami-1",
			Invalid: "ami 1",
			Help:    "the cloud's id of a machine image: Ubuntu or Debian with systemd (default: SkyPilot's choice)",
			Want:    "the id of an image as its cloud spells it",
		}, func(s *GroupSpec) *string { return &s.ImageID }, matches(isOneWord)),
		newTextField(Field{
			Change: changesMachines,
			Name:   "ssh_user", Label: "SSH user", Flag: FlagText, Scope: MachineScope, Level: 3, Example: "admin",
			Invalid: "Ann B",
			Help:    "login user of the machines, for images of your own on aws (default: SkyPilot's choice)",
			Want: "a POSIX user name other than root, such as admin: at most 32 lower-case letters, digits, '-' and " +
				"'_', beginning with a letter or '_'",
		}, func(s *GroupSpec) *string { return &s.SSHUser }, matches(isUserName)),
	}
}

func acceleratorsField() Field {
	f := newParsedField(Field{
		Change: changesMachines,
		Name:   "accelerators", Label: "Accelerators", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "A100:8",
		Invalid: ":8",
		Help:    "accelerators per machine as NAME:COUNT, such as A100:8",
		Want:    wantAccelerators,
	}, func(s *GroupSpec) *string { return &s.Accelerators }, func(v string) (string, error) {
		a, err := ParseAccelerators(v)
		a.Name = canonicalAcceleratorName(a.Name)
		return a.String(), err
	})
	f.isEqual = strings.EqualFold
	return f
}

func gpuStackField() Field {
	f := newTextField(Field{
		Change: changesGPUs,
		Name:   "gpu_stack", Label: "GPU stack", Flag: FlagText, Level: 1, Example: GPUStackDevicePlugin,
		Invalid: "helm",
		Values:  []string{GPUStackOperator, GPUStackDevicePlugin, GPUStackNone},
		Help: "software that makes accelerators available to pods: operator, device-plugin or none (default " +
			"operator)",
		Want: "operator (driver, toolkit and device plugin as needed), device-plugin (for images with driver and " +
			"toolkit), or none",
	}, func(s *GroupSpec) *string { return &s.GPUStack }, normalizeGPUStack)
	f.normalize = (*GroupSpec).setDefaultGPUStack
	f.show = func(s GroupSpec) string {
		if s.GPUStack != "" && s.GPUTaint {
			return s.GPUStack + ", workers tainted"
		}
		return s.GPUStack
	}
	return f
}

func gpuTaintField() Field {
	return newSwitchField(Field{
		Change: changesFreely("the Nodes get or lose the taint"),
		Name:   "gpu_taint", Hidden: "the line of gpu_stack shows it", Level: 1, Example: "true", Invalid: "maybe",
		Help: "taint the workers, so that pods that request no accelerator do not run there",
		Want: "true or false",
	}, func(s *GroupSpec) *bool { return &s.GPUTaint }, nil)
}

func useSpotField() Field {
	f := newSwitchField(Field{
		Change: changesMachines,
		Name:   "use_spot", Label: "Spot", Scope: MachineScope, Level: 1, Example: "true", Invalid: "maybe",
		Help: "use spot machines: cheaper, but the cloud can take them back at any time",
		Want: "true or false",
	}, func(s *GroupSpec) *bool { return &s.UseSpot }, nil)
	f.show = func(s GroupSpec) string {
		if !s.UseSpot {
			return ""
		}
		return "yes: the cloud can take the machines back"
	}
	return f
}

func maxHourlyCostField() Field {
	f := Field{
		Change: changesFreely("it counts for machines that are launched from then on"),
		Name:   "max_hourly_cost", Label: "At most", Flag: FlagText, Scope: MachineScope, Level: 1, Example: "1.5",
		Invalid: "cheap",
		Help:    "highest price of one machine in US dollars per hour, such as 1.50",
		Want:    "US dollars per hour and machine, such as 1.50",
	}
	f = newNumberField(f, func(s *GroupSpec) *float64 { return &s.MaxHourlyCost }, numberField[float64]{
		parse: func(v string) (float64, error) {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || !(n > 0) || math.IsInf(n, 0) {
				return 0, f.newError(v)
			}
			return n, nil
		},
		format: func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) },
		isIn:   func(n float64) bool { return n >= 0 && !math.IsInf(n, 0) },
	})
	f.show = func(s GroupSpec) string {
		if s.MaxHourlyCost <= 0 {
			return ""
		}
		return fmt.Sprintf("$%.2f per hour and machine", s.MaxHourlyCost)
	}
	return f
}

// accessFields say how the cluster is reached, and how large it is.
func accessFields() []Field {
	access := newTextField(Field{
		Change: changesFirewall,
		Name:   "api_access", Label: "API access", Flag: FlagText, Scope: MachineScope, Level: 1, Example: APITunnel,
		Invalid: "vpn", Values: []string{APIAuto, APIPublic, APITunnel},
		Help: "how the Kubernetes API is reached: auto, public (its port is open) or tunnel (through SSH) (default " +
			"auto)",
		Want: "auto, public (port 6443 of the head is open) or tunnel (through SSH)",
	}, func(s *GroupSpec) *string { return &s.APIAccess }, normalizeAPIAccess)
	nodes := Field{
		Change: changesFreely("machines are added or removed"),
		Name:   "num_nodes", Label: "Nodes", Flag: FlagText, Default: strconv.Itoa(DefaultNumNodes), Level: 1,
		Example: "3",
		Invalid: "0",
		Help:    "number of machines, including the head",
		Want:    wantNumNodes + fmt.Sprintf("%d, or to --max_nodes, which is at most %d", MaxNumNodes, LargestMaxNodes),
	}
	return []Field{
		newTextField(Field{
			Change: changesFirewall,
			Name:   "api_cidr", Label: "API open to", Flag: FlagText, Scope: MachineScope, Level: 1,
			Example: "203.0.113.0/24", Invalid: "203.0.113.7",
			Help: "address range that can reach the Kubernetes API, such as 203.0.113.0/24 (default: any)",
			Want: "an address range, such as 203.0.113.0/24",
		}, func(s *GroupSpec) *string { return &s.APICIDR }, matches(func(v string) bool {
			_, err := netip.ParsePrefix(v)
			return err == nil
		})),
		access,
		{
			Change: changesFirewall,
			Type:   TypeList,
			Name:   "ports", Label: "Ports", Flag: FlagList, Scope: MachineScope, Level: 1, Example: "8080",
			Invalid: "http",
			Help:    "port or range to open to the outside, such as 8080 or 30000-30100; can be repeated",
			Want:    wantPort,
			set:     func(s *GroupSpec, values []string) error { s.Ports = values; return nil },
			text:    func(s GroupSpec) string { return strings.Join(s.Ports, ",") },
			show:    func(s GroupSpec) string { return strings.Join(s.Ports, ", ") },
			check:   func(s GroupSpec) error { return errorOnly(ParsePorts(s.Ports)) },
			normalize: func(s *GroupSpec) {
				if ranges, err := ParsePorts(s.Ports); err == nil {
					s.Ports = formatPorts(ranges)
				}
			},
		},
		newNumberField(nodes, func(s *GroupSpec) *int { return &s.NumNodes }, numberField[int]{
			parse: func(v string) (int, error) {
				n, err := strconv.Atoi(v) // a number out of range is for Validate to name
				if err != nil {
					return 0, nodes.newError(v)
				}
				return n, nil
			},
			format: strconv.Itoa, isIn: func(n int) bool { return n >= 1 && n <= LargestMaxNodes },
		}),
		maxNodesField(),
	}
}

// releaseFields say which software runs on the cluster, and where it comes from. A create fills them from the settings.
func releaseFields() []Field {
	kubernetes := newTextField(Field{
		Change: changesRelease,
		Name:   "kubernetes_version", Label: "Kubernetes", Flag: FlagText, Level: 2, Setting: "rke2.version",
		Variable: "SKYCTL_RKE2_VERSION", Example: "v1.35.7+rke2r1", Invalid: "v9.9.9+rke2r1",
		Help: "release of RKE2, such as v1.34.1+rke2r1 (default: the setting rke2.version)",
		Want: WantKubernetesVersion,
	}, func(s *GroupSpec) *string { return &s.KubernetesVersion }, matches(IsKubernetesVersion))
	source := newTextField(Field{
		Change: changesRelease,
		Name:   "rke2.source", Label: "RKE2 source", Level: 2, Setting: "rke2.source", Variable: "SKYCTL_RKE2_SOURCE",
		Example: "https://mirror.example.com/rke2", Invalid: "ftp://mirror",
		Want: `"release", the https:// address of a mirror without a name and a password in it, or an absolute ` +
			"directory of the worker's computer",
	}, func(s *GroupSpec) *string { return &s.RKE2.Source }, matches(isReleaseSource))
	sum := newTextField(Field{
		Change: changesRelease,
		Name:   "rke2.sha256", Label: "RKE2 SHA-256", Level: 2, Setting: "rke2.sha256", Variable: "SKYCTL_RKE2_SHA256",
		Example: strings.Repeat("0a", 32), Invalid: "abc", Want: WantSHA256,
	}, func(s *GroupSpec) *string { return &s.RKE2.SHA256 }, matches(IsSHA256))
	sum.isEqual = strings.EqualFold
	return []Field{
		kubernetes, source, sum,
		newGPUReleaseField(Field{Name: "gpu.chart_repo", Label: "GPU charts", Setting: "gpu.chartRepo",
			Want: WantChartRepo, Example: "https://charts.example.com/nvidia",
			Invalid: "https://ann:secret@charts.example.com"},
			func(g *GPURelease) *string { return &g.ChartRepo }, IsChartRepo),
		newGPUReleaseField(Field{Name: "gpu.operator_version", Label: "GPU Operator", Setting: "gpu.operatorVersion",
			Want: WantChartVersion, Example: "v26.3.2", Invalid: "latest"},
			func(g *GPURelease) *string { return &g.OperatorVersion }, IsChartVersion),
		newGPUReleaseField(Field{Name: "gpu.plugin_version", Label: "Device plugin", Setting: "gpu.pluginVersion",
			Want: WantChartVersion, Example: "0.19.2", Invalid: "v0.19"},
			func(g *GPURelease) *string { return &g.PluginVersion }, IsChartVersion),
		newGPUReleaseField(Field{Name: "gpu.image_mirror", Label: "GPU images", Setting: "gpu.imageMirror",
			Want: WantImageMirror, Example: "registry.example.com/mirror", Invalid: "https://registry.example.com"},
			func(g *GPURelease) *string { return &g.ImageMirror }, IsImageMirror),
		newGPUReleaseField(Field{Name: "gpu.test_image", Label: "GPU test image", Setting: "gpu.testImage",
			Want: WantTestImage, Example: "registry.example.com/cuda-sample:vectoradd", Invalid: "An Image"},
			func(g *GPURelease) *string { return &g.TestImage }, IsTestImage),
	}
}

// newGPUReleaseField declares a field that only a setting or a file fills.
func newGPUReleaseField(f Field, ref func(*GPURelease) *string, isValid func(string) bool) Field {
	f.Change, f.Level = changesGPUs, 2
	f.Variable = "SKYCTL_" + strings.ToUpper(strings.ReplaceAll(f.Name, ".", "_"))
	return newTextField(f, func(s *GroupSpec) *string { return ref(&s.GPU) }, matches(isValid))
}

// toText makes the parse function of a field out of one that parses a quantity.
func toText[T fmt.Stringer](parse func(string) (T, error)) func(string) (string, error) {
	return func(v string) (string, error) {
		parsed, err := parse(v)
		return parsed.String(), err
	}
}

// withShow has describe print the value in a format.
func withShow(f Field, format string) Field {
	f.show = func(s GroupSpec) string {
		if f.text(s) == "" {
			return ""
		}
		return fmt.Sprintf(format, f.text(s))
	}
	return f
}

func isOneWord(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}

// isUserName reports whether v is the name of a user that can log in. cloud-init, which creates the user, denies root,
// and YAML reads some words as truth values.
func isUserName(v string) bool {
	switch v {
	case "root", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	return userName.MatchString(v)
}

// regionsOn are the regions of a cloud whose regions are fixed.
func regionsOn(cloud string) []string {
	if cloud == "docker" {
		return []string{"local"}
	}
	return nil
}
