package api

// MachineRequest is what a spec requests of each machine, parsed. The zero value of a field leaves it to the cloud.
type MachineRequest struct {
	CPUs         Quantity
	MemoryGiB    Quantity
	DiskGiB      int
	Accelerators Accelerators
	Ports        []PortRange // sorted
}

// MachineRequest parses what the spec requests of each machine. A spec that passed Validate has no error; of any other,
// the request has what could be parsed, and the errors are *FieldErrors, joined.
func (s GroupSpec) MachineRequest() (MachineRequest, error) {
	r := MachineRequest{DiskGiB: s.DiskSize}
	var errs fieldErrors
	var err error
	if s.CPUs != "" {
		r.CPUs, err = ParseCPUs(s.CPUs)
		errs.addError(err)
	}
	if s.Memory != "" {
		r.MemoryGiB, err = ParseMemory(s.Memory)
		errs.addError(err)
	}
	if s.Accelerators != "" {
		r.Accelerators, err = ParseAccelerators(s.Accelerators)
		errs.addError(err)
	}
	r.Ports, err = ParsePorts(s.Ports)
	errs.addError(err)
	return r, errs.joinErrors()
}
