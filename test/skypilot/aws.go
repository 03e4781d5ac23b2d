package skypilot

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// AWS reads the account from the AWS API server, and changes it as a user can in the console.
type AWS struct{ Endpoint string }

// Instance is an EC2 instance. Terminated instances remain in lists.
type Instance struct {
	Region        string
	ID            string            `xml:"instanceId"`
	State         string            `xml:"instanceState>name"`
	Type          string            `xml:"instanceType"`
	Zone          string            `xml:"placement>availabilityZone"`
	Image         string            `xml:"imageId"`
	PublicIP      string            `xml:"ipAddress"`
	PrivateIP     string            `xml:"privateIpAddress"`
	Lifecycle     string            `xml:"instanceLifecycle"` // spot or empty
	Launched      string            `xml:"launchTime"`
	Reason        string            `xml:"reason"` // of its last change of state, with the time
	Profile       string            `xml:"iamInstanceProfile>arn"`
	Groups        []GroupRef        `xml:"networkInterfaceSet>item>groupSet>item"`
	Tags          map[string]string `xml:"-"`
	RawTags       []tag             `xml:"tagSet>item"`
	MetadataToken string            `xml:"metadataOptions>httpTokens"`
}

// GroupRef is the id and name of a security group.
type GroupRef struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// SecurityGroup is a group with its inbound rules.
type SecurityGroup struct {
	Region string
	ID     string            `xml:"groupId"`
	Name   string            `xml:"groupName"`
	Rules  []Rule            `xml:"ipPermissions>item"`
	Tags   map[string]string `xml:"-"`
	Raw    []tag             `xml:"tagSet>item"`
}

// Rule allows a protocol (-1 is all) from addresses and from members of groups.
type Rule struct {
	Protocol string   `xml:"ipProtocol"`
	From     int      `xml:"fromPort"`
	To       int      `xml:"toPort"`
	CIDRs    []string `xml:"ipRanges>item>cidrIp"`
	Groups   []string `xml:"groups>item>groupId"`
}

// ListInstances returns the instances of all regions, in any state.
func (a *AWS) ListInstances(ctx context.Context) ([]Instance, error) {
	var all []Instance
	for _, region := range Regions {
		var reply struct {
			Instances []Instance `xml:"reservationSet>item>instancesSet>item"`
		}
		if err := a.CallAPI(ctx, "ec2", region, "DescribeInstances", nil, &reply); err != nil {
			return nil, err
		}
		for _, i := range reply.Instances {
			i.Region, i.Tags = region, toTagMap(i.RawTags)
			all = append(all, i)
		}
	}
	return all, nil
}

// ListBilledInstances returns the instances that are not terminated.
func (a *AWS) ListBilledInstances(ctx context.Context) ([]Instance, error) {
	all, err := a.ListInstances(ctx)
	var left []Instance
	for _, i := range all {
		if i.State != "terminated" {
			left = append(left, i)
		}
	}
	return left, err
}

// ListSecurityGroups returns the groups of all regions, except the default group of each VPC.
func (a *AWS) ListSecurityGroups(ctx context.Context) ([]SecurityGroup, error) {
	var all []SecurityGroup
	for _, region := range Regions {
		var reply struct {
			Groups []SecurityGroup `xml:"securityGroupInfo>item"`
		}
		if err := a.CallAPI(ctx, "ec2", region, "DescribeSecurityGroups", nil, &reply); err != nil {
			return nil, err
		}
		for _, g := range reply.Groups {
			if g.Name == "default" {
				continue
			}
			g.Region, g.Tags = region, toTagMap(g.Raw)
			all = append(all, g)
		}
	}
	return all, nil
}

// InstanceProfile is a profile with its roles.
type InstanceProfile struct {
	Name  string   `xml:"InstanceProfileName"`
	ARN   string   `xml:"Arn"`
	Roles []string `xml:"Roles>member>RoleName"`
}

// ListInstanceProfiles returns all profiles of the account; Profile exists from the start.
func (a *AWS) ListInstanceProfiles(ctx context.Context) ([]InstanceProfile, error) {
	var reply struct {
		Profiles []InstanceProfile `xml:"ListInstanceProfilesResult>InstanceProfiles>member"`
	}
	err := a.CallAPI(ctx, "iam", "us-east-1", "ListInstanceProfiles", nil, &reply)
	return reply.Profiles, err
}

// ListRoles returns the names of all IAM roles.
func (a *AWS) ListRoles(ctx context.Context) ([]string, error) {
	var reply struct {
		Roles []string `xml:"ListRolesResult>Roles>member>RoleName"`
	}
	err := a.CallAPI(ctx, "iam", "us-east-1", "ListRoles", nil, &reply)
	return reply.Roles, err
}

// ReadShutdownBehavior returns what happens to an instance that powers itself off: stop or terminate.
func (a *AWS) ReadShutdownBehavior(ctx context.Context, i Instance) (string, error) {
	var reply struct {
		Value string `xml:"instanceInitiatedShutdownBehavior>value"`
	}
	err := a.CallAPI(ctx, "ec2", i.Region, "DescribeInstanceAttribute",
		url.Values{"InstanceId": {i.ID}, "Attribute": {"instanceInitiatedShutdownBehavior"}}, &reply)
	return reply.Value, err
}

// TerminateInstance terminates an instance without SkyPilot.
func (a *AWS) TerminateInstance(ctx context.Context, i Instance) error {
	return a.CallAPI(ctx, "ec2", i.Region, "TerminateInstances", url.Values{"InstanceId.1": {i.ID}}, nil)
}

// StopInstance stops an instance without SkyPilot.
func (a *AWS) StopInstance(ctx context.Context, i Instance) error {
	return a.CallAPI(ctx, "ec2", i.Region, "StopInstances", url.Values{"InstanceId.1": {i.ID}}, nil)
}

// StartInstance starts a stopped instance without SkyPilot. Its host gets another address.
func (a *AWS) StartInstance(ctx context.Context, i Instance) error {
	return a.CallAPI(ctx, "ec2", i.Region, "StartInstances", url.Values{"InstanceId.1": {i.ID}}, nil)
}

var apiVersions = map[string]string{"ec2": "2016-11-15", "iam": "2010-05-08", "sts": "2011-06-15"}

// CallAPI calls one of AWS's query APIs (ec2, iam, sts) and reads the XML into reply, unless that is nil.
func (a *AWS) CallAPI(ctx context.Context, service, region, action string, params url.Values, reply any) error {
	form := url.Values{"Action": {action}, "Version": {apiVersions[service]}}
	for k, v := range params {
		form[k] = v
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	// The server takes the region from the signature and does not verify it.
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=TEST/20260101/"+region+"/"+service+
		"/aws4_request, SignedHeaders=host, Signature=test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s in %s: %w", action, region, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s in %s: %w", action, region, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s in %s: %s: %s", action, region, resp.Status, body)
	}
	if reply == nil {
		return nil
	}
	if err := xml.Unmarshal(body, reply); err != nil {
		return fmt.Errorf("%s in %s: %w", action, region, err)
	}
	return nil
}

func toTagMap(list []tag) map[string]string {
	m := map[string]string{}
	for _, t := range list {
		m[t.Key] = t.Value
	}
	return m
}
