package skypilot

import (
	"context"
	"fmt"
)

// ListLeftovers lists what launches have left in the account, one line each: instances that are not terminated,
// volumes, security groups, key pairs, addresses, launch templates, instance profiles and roles.
func (a *AWS) ListLeftovers(ctx context.Context) ([]string, error) {
	var left []string
	instances, err := a.ListBilledInstances(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range instances {
		left = append(left, fmt.Sprintf("instance %s in %s, %s, %v", i.ID, i.Region, i.State, i.Tags))
	}
	groups, err := a.ListSecurityGroups(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		left = append(left, fmt.Sprintf("security group %s in %s", g.Name, g.Region))
	}
	for _, region := range Regions {
		more, err := a.listRegionLeftovers(ctx, region)
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	profiles, err := a.ListInstanceProfiles(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range profiles {
		if p.Name != Profile || len(p.Roles) > 0 {
			left = append(left, fmt.Sprintf("instance profile %s with the roles %v", p.Name, p.Roles))
		}
	}
	roles, err := a.ListRoles(ctx)
	for _, r := range roles {
		left = append(left, "role "+r)
	}
	return left, err
}

// listRegionLeftovers lists a region's leftovers by id.
func (a *AWS) listRegionLeftovers(ctx context.Context, region string) ([]string, error) {
	var left []string
	for action, what := range map[string]string{
		"DescribeVolumes": "volume", "DescribeKeyPairs": "key pair", "DescribeAddresses": "address",
		"DescribeLaunchTemplates": "launch template",
	} {
		var reply struct {
			Volumes   []string `xml:"volumeSet>item>volumeId"`
			Keys      []string `xml:"keySet>item>keyName"`
			Addresses []string `xml:"addressesSet>item>publicIp"`
			Templates []string `xml:"launchTemplates>item>launchTemplateName"`
		}
		if err := a.CallAPI(ctx, "ec2", region, action, nil, &reply); err != nil {
			return nil, err
		}
		for _, list := range [][]string{reply.Volumes, reply.Keys, reply.Addresses, reply.Templates} {
			for _, id := range list {
				left = append(left, fmt.Sprintf("%s %s in %s", what, id, region))
			}
		}
	}
	return left, nil
}
