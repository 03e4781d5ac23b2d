package skypilot

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// errorRule tells the kind of an error by words that only it has. The first rule that finds its words in any line
// decides.
type errorRule struct {
	kind  cloud.ErrorKind
	words *regexp.Regexp
}

func newErrorRule(kind cloud.ErrorKind, expr string) errorRule {
	return errorRule{kind, regexp.MustCompile("(?i)" + expr)}
}

// errorRules go from the particular to the general. The clouds' codes:
// AWS https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
// GCP https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability,
// Azure https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors.
var errorRules = []errorRule{
	newErrorRule(cloud.Infeasible, `rsync is required`),
	// AWS
	newErrorRule(cloud.Quota, `VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded|`+
		`VolumeLimitExceeded|AddressLimitExceeded|SecurityGroupLimitExceeded|VpcLimitExceeded|`+
		`PendingVerification|Found no quota for`),
	newErrorRule(cloud.Capacity, `InsufficientInstanceCapacity|InsufficientHostCapacity|`+
		`InsufficientReservedInstanceCapacity|InsufficientCapacity|SpotMaxPriceTooLow|capacity-not-available|`+
		`\(Unsupported\).*Availability Zone`),
	newErrorRule(cloud.Transient, `RequestLimitExceeded|ThrottlingException|\(Throttling\)|ServiceUnavailable|`+
		`\(InternalError\)|\(InternalFailure\)`),
	newErrorRule(cloud.Access, `UnauthorizedOperation|AuthFailure|AccessDenied|InvalidClientTokenId|`+
		`SignatureDoesNotMatch|ExpiredToken|OptInRequired|\(Blocked\)|NoCredentialsError|Unable to locate credentials`),
	newErrorRule(cloud.Infeasible, `InvalidAMIID|InvalidParameterCombination|InvalidParameterValue|`+
		`InvalidBlockDeviceMapping|Image .* not found`),
	// GCP
	newErrorRule(cloud.Quota, `QUOTA_EXCEEDED|Quota '[^']+' exceeded|quotaExceeded`),
	newErrorRule(cloud.Capacity, `ZONE_RESOURCE_POOL_EXHAUSTED|does not have enough resources available|STOCKOUT`),
	newErrorRule(cloud.Access, `PERMISSION_DENIED|SERVICE_DISABLED|accessNotConfigured|BILLING_DISABLED|`+
		`insufficientPermissions|DefaultCredentialsError`),
	newErrorRule(cloud.Transient, `rateLimitExceeded|backendError`),
	// Azure
	newErrorRule(cloud.Quota, `QuotaExceeded|Operation could not be completed as it results in exceeding approved`),
	newErrorRule(cloud.Capacity, `SkuNotAvailable|AllocationFailed|OverconstrainedAllocation|`+
		`NotAvailableForSubscription`),
	newErrorRule(cloud.Access, `AuthorizationFailed|InvalidAuthenticationToken|ReadOnlyDisabledSubscription|`+
		`LinkedAuthorizationFailed`),
	// anybody
	newErrorRule(cloud.Quota, `exceed\w* (your |the )?(\w+ )?quota|quota (was |is )?(exceeded|reached)|limit exceeded`),
	newErrorRule(cloud.Capacity, `insufficient[- _]capacity|not enough capacity|out of (stock|capacity)|`+
		`no capacity|sold out|currently unavailable`),
	newErrorRule(cloud.Access, `permission denied|forbidden|unauthorized|invalid credentials|authentication failed`),
}

// toCloudError is an error of a launch or a termination, from its type and message and from what its log said.
func toCloudError(doing string, failed *failedRequest, log []string) error {
	kind, why := classifyFailure(failed, log)
	return &cloud.Error{Kind: kind, Message: fmt.Sprintf("%s: %s", doing, why)}
}

// classifyFailure finds the kind, and the line that says most.
func classifyFailure(failed *failedRequest, log []string) (cloud.ErrorKind, string) {
	message := strings.TrimSpace(stripEscapes(failed.Message))
	switch failed.Type {
	case "NoCloudAccessError":
		return cloud.Access, "SkyPilot has access to no cloud: " + shortenText(message)
	case "CloudUserIdentityError", "InvalidCloudCredentials", "PermissionDeniedError":
		return cloud.Access, shortenText(message)
	case "ClusterOwnerIdentityMismatchError":
		return cloud.Conflict, shortenText(message)
	case "ResourcesMismatchError", "InvalidSkyPilotConfigError":
		return cloud.Infeasible, shortenText(message)
	case "RequestInterruptedError", "ConcurrentWorkerExhaustedError":
		return cloud.Transient, shortenText(message)
	}
	switch {
	case strings.Contains(message, "is not enabled"), strings.Contains(message, "not enabled"):
		return cloud.Access, shortenText(message)
	case strings.Contains(message, "does not contain any instances satisfying the request"):
		return cloud.Infeasible, shortenText(strings.Split(message, "\n")[0])
	}
	for _, r := range errorRules {
		for i := len(log) - 1; i >= 0; i-- {
			if r.words.MatchString(log[i]) {
				return r.kind, shortenText(trimLogPrefix(log[i]))
			}
		}
		if r.words.MatchString(message) {
			return r.kind, shortenText(message)
		}
	}
	switch failed.Type {
	case "ResourcesUnavailableError":
		// Another place may do: whatever it was, it was this one that could not give the machine.
		return cloud.Capacity, shortenText(strings.Join(append([]string{message}, lastErrorLines(log)...), "; "))
	case "ValueError", "AssertionError", "TypeError", "KeyError":
		return cloud.Infeasible, shortenText(failed.Error())
	}
	return cloud.Transient, shortenText(strings.Join(append([]string{failed.Error()}, lastErrorLines(log)...), "; "))
}

// logPrefix is what SkyPilot's logs put before what a cloud said.
var logPrefix = regexp.MustCompile(`^(?:[A-Z] \d\d-\d\d \S+ (?:PID=\d+ )?\S+:\d+\] )?` +
	`(?:create_instances: Attempt failed with )?`)

// trimLogPrefix is a line of a log without what stands before the cloud's own words.
func trimLogPrefix(line string) string {
	return strings.TrimSpace(logPrefix.ReplaceAllString(line, ""))
}

// lastErrorLines are the lines of a log that speak of something going wrong, the last ones.
func lastErrorLines(log []string) []string {
	const most = 3
	var found []string
	for _, line := range log {
		lower := strings.ToLower(line)
		if strings.Contains(lower, "fail") || strings.Contains(lower, "error") {
			found = append(found, trimLogPrefix(line))
		}
	}
	return found[max(0, len(found)-most):]
}
