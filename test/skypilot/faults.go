package skypilot

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Fault is an injected fault of a cloud. Fields select requests by patterns with * and ?; an empty field matches all.
type Fault struct {
	// Cloud is aws or paperspace.
	Cloud string `json:"cloud,omitempty"`
	// Operation is an action of AWS's query APIs, such as RunInstances, TerminateInstances or GetCallerIdentity.
	// Paperspace has RunInstances, TerminateInstances and DescribeInstances.
	Operation string `json:"operation,omitempty"`
	Region    string `json:"region,omitempty"`
	// Zone is known for RunInstances and for actions that name an instance, on AWS.
	Zone string `json:"zone,omitempty"`
	// InstanceType and Cluster, SkyPilot's name of the cluster on the cloud (name-userhash), are known like Zone.
	InstanceType string `json:"instance_type,omitempty"`
	Cluster      string `json:"cluster,omitempty"`

	// Code and Message are the error that the cloud returns, if any, and Status its HTTP status, by default 400.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"status,omitempty"`
	// Hang delays the request until the fault is cleared; then it gets the error, or is carried out.
	Hang bool `json:"hang,omitempty"`
	// After makes the cloud carry out the request before it hangs or returns the error.
	After bool `json:"after,omitempty"`
	// Times is how many requests the fault affects; 0 is all.
	Times int `json:"times,omitempty"`
}

// NoCapacityFault makes EC2 lack such machines in the region, or in one of its zones if one is given.
func NoCapacityFault(region, zone string) Fault {
	return Fault{Cloud: "aws", Operation: "RunInstances", Region: region, Zone: zone,
		Code: "InsufficientInstanceCapacity",
		Message: "We currently do not have sufficient capacity in the Availability Zone you requested. Our system " +
			"will be working on provisioning additional capacity."}
}

// NoQuotaFault makes EC2 refuse machines beyond the account's quota in the region.
func NoQuotaFault(region string) Fault {
	return Fault{Cloud: "aws", Operation: "RunInstances", Region: region, Code: "VcpuLimitExceeded",
		Message: "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance " +
			"bucket that the specified instance type belongs to. Please visit " +
			"http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."}
}

// SetFault activates a fault until the returned value is cleared.
func (e *Env) SetFault(f Fault) (*ActiveFault, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	// Written under another name first, because the clouds read files that end in .json.
	a := &ActiveFault{path: filepath.Join(e.faultsDir(), fmt.Sprintf("%06d.json", faultCount.Add(1)))}
	if err := os.WriteFile(a.path+".new", data, 0o600); err != nil {
		return nil, err
	}
	return a, os.Rename(a.path+".new", a.path)
}

var faultCount atomic.Int64

// ActiveFault is an active fault.
type ActiveFault struct{ path string }

// Clear removes the fault; requests that hang because of it continue.
func (a *ActiveFault) Clear() error { return os.Remove(a.path) }

// CountRequests returns how many requests the fault has affected so far.
func (a *ActiveFault) CountRequests() int {
	used, err := filepath.Glob(a.path + ".used.*")
	if err != nil {
		panic(err) // the pattern is ours
	}
	return len(used)
}
