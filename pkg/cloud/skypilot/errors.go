package skypilot

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// rule tells the kind of an error by words that only it has. The first rule that finds its words in any line decides.
type rule struct {
	kind  cloud.Kind
	words *regexp.Regexp
}

func words(kind cloud.Kind, expr string) rule {
	return rule{kind, regexp.MustCompile("(?i)" + expr)}
}

// rules go from the particular to the general. The clouds' codes:
// AWS https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
// GCP https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability,
// Azure https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors.
var rules = []rule{
	words(cloud.Infeasible, `rsync is required`),
	// AWS
	words(cloud.Quota, `VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded|VolumeLimitExceeded|AddressLimitExceeded|SecurityGroupLimitExceeded|VpcLimitExceeded|PendingVerification|Found no quota for`),
	words(cloud.Capacity, `InsufficientInstanceCapacity|InsufficientHostCapacity|InsufficientReservedInstanceCapacity|InsufficientCapacity|SpotMaxPriceTooLow|capacity-not-available|\(Unsupported\).*Availability Zone`),
	words(cloud.Transient, `RequestLimitExceeded|ThrottlingException|\(Throttling\)|ServiceUnavailable|\(InternalError\)|\(InternalFailure\)`),
	words(cloud.Access, `UnauthorizedOperation|AuthFailure|AccessDenied|InvalidClientTokenId|SignatureDoesNotMatch|ExpiredToken|OptInRequired|\(Blocked\)|NoCredentialsError|Unable to locate credentials`),
	words(cloud.Infeasible, `InvalidAMIID|InvalidParameterCombination|InvalidParameterValue|InvalidBlockDeviceMapping|Image .* not found`),
	// GCP
	words(cloud.Quota, `QUOTA_EXCEEDED|Quota '[^']+' exceeded|quotaExceeded`),
	words(cloud.Capacity, `ZONE_RESOURCE_POOL_EXHAUSTED|does not have enough resources available|STOCKOUT`),
	words(cloud.Access, `PERMISSION_DENIED|SERVICE_DISABLED|accessNotConfigured|BILLING_DISABLED|insufficientPermissions|DefaultCredentialsError`),
	words(cloud.Transient, `rateLimitExceeded|backendError`),
	// Azure
	words(cloud.Quota, `QuotaExceeded|Operation could not be completed as it results in exceeding approved`),
	words(cloud.Capacity, `SkuNotAvailable|AllocationFailed|OverconstrainedAllocation|NotAvailableForSubscription`),
	words(cloud.Access, `AuthorizationFailed|InvalidAuthenticationToken|ReadOnlyDisabledSubscription|LinkedAuthorizationFailed`),
	// anybody
	words(cloud.Quota, `exceed\w* (your |the )?(\w+ )?quota|quota (was |is )?(exceeded|reached)|limit exceeded`),
	words(cloud.Capacity, `insufficient[- _]capacity|not enough capacity|out of (stock|capacity)|no capacity|sold out|currently unavailable`),
	words(cloud.Access, `permission denied|forbidden|unauthorized|invalid credentials|authentication failed`),
}

// judged is an error of a launch or a termination, from its type and message and from what its log said.
func judged(doing string, failed *failedRequest, log []string) error {
	kind, why := reason(failed, log)
	return &cloud.Error{Kind: kind, Message: fmt.Sprintf("%s: %s", doing, why)}
}

func kindOf(failed *failedRequest, log []string) cloud.Kind {
	kind, _ := reason(failed, log)
	return kind
}

// reason finds the kind, and the line that says most.
func reason(failed *failedRequest, log []string) (cloud.Kind, string) {
	message := strings.TrimSpace(plain(failed.Message))
	switch failed.Type {
	case "NoCloudAccessError":
		return cloud.Access, "SkyPilot has access to no cloud: " + short(message)
	case "CloudUserIdentityError", "InvalidCloudCredentials", "PermissionDeniedError":
		return cloud.Access, short(message)
	case "ClusterOwnerIdentityMismatchError":
		return cloud.Conflict, short(message)
	case "ResourcesMismatchError", "InvalidSkyPilotConfigError":
		return cloud.Infeasible, short(message)
	case "RequestInterruptedError", "ConcurrentWorkerExhaustedError":
		return cloud.Transient, short(message)
	}
	switch {
	case strings.Contains(message, "is not enabled"), strings.Contains(message, "not enabled"):
		return cloud.Access, short(message)
	case strings.Contains(message, "does not contain any instances satisfying the request"):
		return cloud.Infeasible, short(strings.Split(message, "\n")[0])
	}
	for _, r := range rules {
		for i := len(log) - 1; i >= 0; i-- {
			if r.words.MatchString(log[i]) {
				return r.kind, short(told(log[i]))
			}
		}
		if r.words.MatchString(message) {
			return r.kind, short(message)
		}
	}
	switch failed.Type {
	case "ResourcesUnavailableError":
		// Another place may do: whatever it was, it was this one that could not give the machine.
		return cloud.Capacity, short(strings.Join(append([]string{message}, complaints(log)...), "; "))
	case "ValueError", "AssertionError", "TypeError", "KeyError":
		return cloud.Infeasible, short(failed.Error())
	}
	return cloud.Transient, short(strings.Join(append([]string{failed.Error()}, complaints(log)...), "; "))
}

// prefix is what SkyPilot's logs put before what a cloud said.
var prefix = regexp.MustCompile(`^(?:[A-Z] \d\d-\d\d \S+ (?:PID=\d+ )?\S+:\d+\] )?(?:create_instances: Attempt failed with )?`)

// told is a line of a log without what stands before the cloud's own words.
func told(line string) string { return strings.TrimSpace(prefix.ReplaceAllString(line, "")) }

// complaints are the lines of a log that speak of something going wrong, the last ones.
func complaints(log []string) []string {
	const most = 3
	var found []string
	for _, line := range log {
		lower := strings.ToLower(line)
		if strings.Contains(lower, "fail") || strings.Contains(lower, "error") {
			found = append(found, told(line))
		}
	}
	return found[max(0, len(found)-most):]
}
