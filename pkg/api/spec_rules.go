package api

// specRules are the conditions on a spec that concern several fields. Each returns nil, or the field to change.
var specRules = []func(GroupSpec) *FieldError{checkTunnelCIDR, checkNumNodes, checkGPUStack, checkGPUTaint,
	checkSnapshotStorage, checkIngressOfRelease, checkProxyJump}

func checkTunnelCIDR(s GroupSpec) *FieldError {
	if access, _ := normalizeAPIAccess(s.APIAccess); access != APITunnel || s.APICIDR == "" {
		return nil
	}
	return &FieldError{Field: "api_cidr", Value: s.APICIDR,
		Want: "the field left out with api_access tunnel, because the API's port is then closed to the outside"}
}

const wantNoGPUs = "only with --accelerators, such as A100:8: this cluster has none"

func checkGPUStack(s GroupSpec) *FieldError {
	stack, known := normalizeGPUStack(s.GPUStack)
	switch {
	case !known:
		return nil
	case s.Accelerators == "":
		return &FieldError{Field: "gpu_stack", Value: s.GPUStack, Want: wantNoGPUs}
	case stack != GPUStackNone:
		if a, err := ParseAccelerators(s.Accelerators); err == nil && !IsNVIDIA(a.Name) {
			return &FieldError{Field: "gpu_stack", Value: s.GPUStack,
				Want: "none: " + a.Name + " is not made by NVIDIA, and the stack is NVIDIA's software"}
		}
	}
	return nil
}

func checkGPUTaint(s GroupSpec) *FieldError {
	switch {
	case !s.GPUTaint:
		return nil
	case s.Accelerators == "":
		return &FieldError{Field: "gpu_taint", Value: "true", Want: wantNoGPUs}
	case s.NumNodes == 1:
		return &FieldError{Field: "gpu_taint", Value: "true", Want: "only with --num_nodes from 2, because it taints " +
			"the workers; the head is never tainted, because the cluster's own pods run there"}
	}
	return nil
}
