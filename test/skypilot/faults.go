package skypilot

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Fault is what a cloud does wrong to the requests that it matches. A field that matches by pattern knows * and ?;
// empty matches all.
type Fault struct {
	// Cloud is aws or paperspace.
	Cloud string `json:"cloud,omitempty"`
	// Operation is one of AWS's query APIs, as RunInstances, TerminateInstances or GetCallerIdentity. Paperspace has
	// RunInstances, TerminateInstances and DescribeInstances.
	Operation string `json:"operation,omitempty"`
	Region    string `json:"region,omitempty"`
	// Zone is known of RunInstances and of what names an instance, on AWS.
	Zone string `json:"zone,omitempty"`
	// InstanceType and Cluster, SkyPilot's name of the cluster on the cloud (name-userhash), are known as Zone is.
	InstanceType string `json:"instance_type,omitempty"`
	Cluster      string `json:"cluster,omitempty"`

	// Code and Message are the error that the cloud answers with, if any, and Status its HTTP status, by default 400.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"status,omitempty"`
	// Hang keeps the request waiting until the fault is cleared; then it is answered with the error, or carried out.
	Hang bool `json:"hang,omitempty"`
	// After has the cloud do what is asked before it hangs or answers with the error.
	After bool `json:"after,omitempty"`
	// Times is how many requests meet the fault; 0 is all.
	Times int `json:"times,omitempty"`
}

// NoCapacityFault is a Fault of EC2 having no such machines in the region, or in one zone of it where that is given.
func NoCapacityFault(region, zone string) Fault {
	return Fault{Cloud: "aws", Operation: "RunInstances", Region: region, Zone: zone,
		Code: "InsufficientInstanceCapacity",
		Message: "We currently do not have sufficient capacity in the Availability Zone you requested. Our system " +
			"will be working on provisioning additional capacity."}
}

// NoQuotaFault is a Fault of EC2 refusing more machines than the account may have in the region.
func NoQuotaFault(region string) Fault {
	return Fault{Cloud: "aws", Operation: "RunInstances", Region: region, Code: "VcpuLimitExceeded",
		Message: "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance " +
			"bucket that the specified instance type belongs to. Please visit " +
			"http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."}
}

// SetFault makes a fault hold until the returned one is cleared.
func (e *Env) SetFault(f Fault) (*ActiveFault, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	// Written under another name first: the clouds read what ends in .json.
	a := &ActiveFault{path: filepath.Join(e.faultsDir(), fmt.Sprintf("%06d.json", faultCount.Add(1)))}
	if err := os.WriteFile(a.path+".new", data, 0o600); err != nil {
		return nil, err
	}
	return a, os.Rename(a.path+".new", a.path)
}

var faultCount atomic.Int64

// ActiveFault is a fault that holds.
type ActiveFault struct{ path string }

// Clear takes the fault back; what hangs because of it goes on.
func (a *ActiveFault) Clear() error { return os.Remove(a.path) }

// CountRequests is how many requests have met the fault so far.
func (a *ActiveFault) CountRequests() int {
	used, err := filepath.Glob(a.path + ".used.*")
	if err != nil {
		panic(err) // the pattern is ours
	}
	return len(used)
}
